"""Why an exchange gave no rows, or rows without an answer: a closed list, the metric's label values."""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    """The word in `decode_errors_total{reason}`, in logs and in reports."""

    ERROR_RESPONSE = "error_response"
    """The model answered with a status other than 2xx: no prediction was made."""
    REQUEST_TRUNCATED = "request_truncated"
    """The request's body is longer than `capture.maxBodyBytes`."""
    RESPONSE_TRUNCATED = "response_truncated"
    """The response's body is longer than `capture.maxBodyBytes`."""
    EMPTY_REQUEST = "empty_request"
    EMPTY_RESPONSE = "empty_response"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    """A content coding other than gzip, deflate and identity."""
    DAMAGED_ENCODING = "damaged_encoding"
    """The body is not what its content coding says."""
    TOO_LARGE = "too_large"
    """The body inflates to more than a body may hold."""
    INVALID_JSON = "invalid_json"
    UNKNOWN_SHAPE = "unknown_shape"
    """JSON, but no records where the protocol has them."""
    UNKNOWN_TENSOR = "unknown_tensor"
    """Tensors that are neither one per feature nor one for all features."""
    TENSOR_SHAPE = "tensor_shape"
    """A tensor whose data doesn't fill its shape."""
    BINARY_TENSORS = "binary_tensors"
    """Open Inference Protocol's binary extension, which isn't decoded yet."""
    COLUMN_COUNT = "column_count"
    """A row as an array that has not one value per feature."""
    ROW_COUNT = "row_count"
    """Another number of predictions than of rows."""
    NO_PREDICTION = "no_prediction"
    """The response has nothing where the prediction belongs."""
    DECODER_ERROR = "decoder_error"
    """An error of the decoder itself; the log has it once."""


class DecodeError(Exception):
    """This exchange, or its answer, can't be decoded."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure
