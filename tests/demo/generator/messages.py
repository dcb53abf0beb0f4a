"""The texts of the API's event messages, and its reasons for failed jobs.

`{ctime}` and `{iso}` are replaced by the time of the event. The API appends a mark to model names.
"""

from __future__ import annotations

from datetime import UTC, datetime

from tests.demo.generator.prices import NANO

RENAMED = datetime(2025, 6, 1, tzinfo=UTC)  # from "Fine tune request" to "Fine-tuning request"
MODEL_MARK = "__TOG__FT"

# Some contain quotation marks, one starts like a spreadsheet formula: both occur, and CSV must quote them.
USER_ERRORS = (
    'Training file has an unsupported format: line 12 lacks the key "messages"',
    "=SUM(A1:A9) is not a JSON object: line 1 of the training file looks like a spreadsheet",
    "Training file has no usable examples after filtering",
    'Training file has an unsupported format: line 4 has the role "bot", expected system, user or assistant',
    "Validation file is empty",
    'Training file has an unsupported format: line 871 lacks the key "messages"',
)
LATE_USER_ERROR = "Sequence in line 88 of the training file is longer than the context of the model"
ERRORS = {
    "download": "Model data could not be downloaded: storage did not answer within 600 s",
    "training": "Training failed at step {step}: out of memory on rank 3",
    "upload": "Model upload failed after 5 attempts",
}
NODE_LOST = "Training failed at step {step}: contact with worker 5 was lost"


def first_message(created: datetime) -> str:
    """The first message of every job, in the wording of that time."""
    return "Fine tune request created" if created < RENAMED else "Fine-tuning request created"


def format_dollars(nano: int) -> str:
    """An amount as a message shows it: exact, at least two decimals."""
    whole, fraction = divmod(nano, NANO)
    return f"${whole}.{f'{fraction:09d}'.rstrip('0').ljust(2, '0')}"


def fill_times(message: str, moment: datetime) -> str:
    """A message with its times written as the API writes them."""
    # `ctime` names days and months in English whatever the locale.
    text = moment.ctime()
    return message.replace("{ctime}", f"{text[:-4]}UTC {text[-4:]}").replace("{iso}", f"${moment:%Y-%m-%dT%H:%M:%S.%f}")
