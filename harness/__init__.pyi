from harness.api.explaining import explain as explain
from harness.api.metrics import use_metric as use_metric
from harness.api.models import build as build
from harness.api.models import check as check
from harness.api.places import dataset as dataset
from harness.api.places import datasets as datasets
from harness.api.places import devices as devices
from harness.api.projects import init as init
from harness.api.questions import compare as compare
from harness.api.questions import history as history
from harness.api.questions import recommend as recommend
from harness.api.running import measure as measure
from harness.api.running import run as run
from harness.api.runs import Run as Run
from harness.api.runs import load_run as load_run
from harness.api.runs import runs as runs
from harness.api.searching import tune as tune
from harness.api.studies import study_calibration as study_calibration
from harness.api.studies import study_schemes as study_schemes
from harness.core.errors import DeviceError as DeviceError
from harness.core.errors import HarnessError as HarnessError
from harness.core.errors import MissingPartError as MissingPartError
from harness.core.errors import UnsupportedError as UnsupportedError
from harness.core.errors import UserInputError as UserInputError

__version__: str
CALLS: dict[str, str]
