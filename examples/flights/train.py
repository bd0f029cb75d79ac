"""Trains the demo's model on the first weeks and writes the reference: the first months, in order, scored.

python -m examples.flights.train OUTPUT_DIRECTORY [--until 2013-03-15]
"""

from __future__ import annotations

import argparse
from datetime import datetime
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from examples.flights import flights
from examples.flights.model import THRESHOLD, LateModel

MODEL_FILE = "model.joblib"
REFERENCE_FILE = "reference.parquet"


def train(frame: pd.DataFrame) -> LateModel:
    """Fit on `frame`: few leaves, so that the scores of the rows it has seen are like those of new ones."""
    categories = {
        name: {value: code for code, value in enumerate(sorted(frame[name].unique()))}
        for name in flights.CATEGORICAL
    }
    codes = [frame[name].map(categories[name]) for name in flights.CATEGORICAL]
    rows = np.column_stack([frame[list(flights.NUMERIC)], *codes]).astype(np.float64)
    first_category = len(flights.NUMERIC)
    classifier = HistGradientBoostingClassifier(
        max_iter=60,
        max_leaf_nodes=8,
        min_samples_leaf=100,
        categorical_features=range(first_category, len(flights.FEATURES)),
        random_state=0,
    )
    classifier.fit(rows, frame[flights.LABEL])
    return LateModel(classifier, categories)


def scored(model: LateModel, frame: pd.DataFrame, until: datetime = flights.TRAINING_ENDS) -> pd.DataFrame:
    """The features of `frame` with their time, the model's score and prediction, and what came true.

    In time order. Flights that the model was trained on (before `until`) have no label here: it knows
    their answers.
    """
    score = model.scores(frame[list(flights.FEATURES)].to_dict("records"))
    columns = frame[["time", *flights.FEATURES]]
    late = np.where(frame[flights.LABEL] == 1, flights.name_of(True), flights.name_of(False))
    held_out = pd.Series(late, frame.index).where(frame["time"] >= until)
    said = np.where(score >= THRESHOLD, flights.name_of(True), flights.name_of(False))
    return columns.assign(late_score=score, late_predicted=said, late_actual=held_out)


def prepare(directory: Path, until: datetime = flights.TRAINING_ENDS) -> float:
    """Write model and reference into `directory`; returns the AUC on the weeks after training.

    `until`: the model is trained on the weeks before, within the reference's months.
    """
    frame = flights.load()
    model = train(flights.between(frame, flights.YEAR_STARTS, until))
    reference = scored(model, flights.between(frame, flights.YEAR_STARTS, flights.REFERENCE_ENDS), until)
    directory.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, directory / MODEL_FILE)
    reference.to_parquet(directory / REFERENCE_FILE, index=False)
    held_out = flights.between(frame, until, flights.REFERENCE_ENDS)
    scores = reference["late_score"].to_numpy()[-len(held_out) :]
    return float(roc_auc_score(held_out[flights.LABEL], scores))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", type=Path, help="where model and reference are written")
    parser.add_argument(
        "--until",
        type=datetime.fromisoformat,
        default=flights.TRAINING_ENDS,
        help="train on what comes before: a candidate with more weeks (default %(default)s)",
    )
    options = parser.parse_args()
    auc = prepare(options.directory, options.until)
    print(f"AUC on the weeks after training: {auc:.3f}; model and reference are in {options.directory}")


if __name__ == "__main__":
    main()
