"""What no single column shows: the error of rebuilding a row from the reference's principal components.

Columns that each keep their distribution may still stop moving together. The error per row is an
ordinary number, so the grid, the windows and the verdicts treat it as one more numeric column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftline.columns import Column, Floats, NumericColumn

MULTIVARIATE = "pca_reconstruction_error"
"""The pseudo column's name, as reports and metrics show it."""

EXPLAINED = 0.65
"""The share of variance that the kept components explain.

Enough for the directions in which the features move together, and what is left over (35 %) still
holds what the error is made of: with all components kept the error would be 0 for every row.
"""

CONSTANT = 1e-12
"""A standard deviation below this share of max |x| is rounding noise: such a column is constant."""


@dataclass(frozen=True, slots=True)
class PrincipalComponents:
    """The reference's principal components over its numeric features, standardised.

    `mean`, `sd`: float64 (f,), the reference's; `components`: float32 (k, f), orthonormal rows;
    `explained`: the share of variance they explain, in (0, 1].
    """

    features: tuple[str, ...]
    mean: Floats
    sd: Floats
    components: NDArray[np.float32]
    explained: float

    def error(self, columns: Mapping[str, Column], rows: int) -> Floats:
        """The Euclidean norm of what the components can't rebuild, per row: float64 of shape (rows,).

        Missing, non-finite and absent values stand at the reference's mean.
        """
        scores = standardise(columns, self.features, self.mean, self.sd, rows)
        components = self.components.astype(np.float64)
        residual = scores - (scores @ components.T) @ components
        error: Floats = np.sqrt(np.einsum("ij,ij->i", residual, residual))
        return error


def standardise(
    columns: Mapping[str, Column], features: Sequence[str], mean: Floats, sd: Floats, rows: int
) -> Floats:
    """Standardised values, shape (rows, f); 0, the mean, wherever there is no finite value."""
    scores = np.zeros((rows, len(features)))
    for index, name in enumerate(features):
        column = columns.get(name)
        if not isinstance(column, NumericColumn):
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            score = (column.values - mean[index]) / sd[index]
        np.copyto(scores[:, index], score, where=np.isfinite(score))
    return scores


class ComponentsBuilder:
    """Adds up the second moments of standardised rows, batch by batch, and finds the components.

    `mean` and `sd` are known beforehand (the first pass), so that one addition per batch is enough.
    """

    def __init__(self, features: Sequence[str], mean: Floats, sd: Floats, max_abs: Floats) -> None:
        varying = np.flatnonzero(np.isfinite(sd) & (sd > CONSTANT * max_abs))
        self.features = tuple(features[int(index)] for index in varying)
        self.mean = np.asarray(mean, dtype=np.float64)[varying]
        self.sd = np.asarray(sd, dtype=np.float64)[varying]
        self._moments = np.zeros((len(varying), len(varying)))
        self._rows = 0

    def add(self, columns: Mapping[str, Column], rows: int) -> None:
        """Add `rows` rows of columns."""
        scores = standardise(columns, self.features, self.mean, self.sd, rows)
        self._moments += scores.T @ scores
        self._rows += rows

    def build(self) -> PrincipalComponents | None:
        """The components up to `EXPLAINED`; None where fewer than two columns vary or rows are too few."""
        if len(self.features) < 2 or self._rows <= len(self.features):
            return None
        variances, vectors = np.linalg.eigh(self._moments / self._rows)
        variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
        shares = np.cumsum(variances) / variances.sum()
        kept = min(int(np.searchsorted(shares, EXPLAINED)) + 1, len(self.features) - 1)
        components = vectors[:, :kept].T
        strongest = np.abs(components).argmax(axis=1)
        # An eigenvector's sign is arbitrary: fixed here, so that the same rows give the same bytes.
        signs = np.sign(components[np.arange(kept), strongest])
        return PrincipalComponents(
            features=self.features,
            mean=self.mean,
            sd=self.sd,
            components=(components * signs[:, None]).astype(np.float32),
            explained=float(shares[kept - 1]),
        )
