"""The plots of the sheet Explain: each bar is a cell of that sheet, and there is one chart per question that has an answer."""

import openpyxl
import pandas as pd
import xlsxwriter

from harness.explain.document import Explanation, Layer, LayerCost, LayerError, LayerLoss
from harness.reports.explained import COLUMNS, layer_row
from harness.reports.explained_charts import Place, write_explain_charts
from harness.reports.frame_sheet import write_frame
from harness.reports.sheets import Styles

KEY = {"workload": "net", "dataset_name": "d", "recipe": "ptq-int8-io", "device": "imx8mp", "seed": 0}


def explained(backend, *, regained, beside):
    layers = tuple(
        Layer(
            node=i, op=op, name=op,
            error=LayerError(sqnr_db=30.0 - i, own_db=40.0 - i, cosine=1.0, outliers=((5, 12.2), (7, 4.1))),
            loss=LayerLoss(regained=0.1 * i if regained else None, error_left=0.5),
            cost=LayerCost(value=100.0 * (i + 1), beside=50.0 if beside else None),
        )
        for i, op in enumerate(("CONV_2D", "ADD", "FULLY_CONNECTED"))
    )  # fmt: skip
    e = Explanation(
        cell="c", run="r", asked="", answer="", device="imx8mp", backend=backend, artifact_sha256=None, layers=layers,
        cost_unit="ns",
    )  # fmt: skip
    return [{**KEY, "backend": backend, **layer_row(e, layer)} for layer in layers]


def drawn(path, rows):
    frame = pd.DataFrame(rows, columns=["workload", "dataset_name", "recipe", "device", "backend", "seed", *COLUMNS])
    with xlsxwriter.Workbook(path) as book:
        styles = Styles(book)
        first = write_frame(book.add_worksheet("Explain"), styles, frame, notes=["one", "two"])
        place = Place(sheet="Explain", first_row=first)
        write_explain_charts(book, book.add_worksheet("Explain plots"), styles, frame, place)
    return openpyxl.load_workbook(path)


def values(book, chart):
    """Name of each series -> what the cells hold that it draws."""
    found = {}
    for series in chart.series:
        sheet, _, cells = series.val.numRef.f.partition("!")
        name = series.tx.v if series.tx.v is not None else series.tx.strRef.f
        found[name] = [row[0].value for row in book[sheet.strip("'")][cells.replace("$", "")]]
    return found


def test_every_bar_is_a_cell_of_the_sheet(tmp_path):
    rows = [*explained("cpu", regained=False, beside=False), *explained("npu", regained=True, beside=True)]
    book = drawn(tmp_path / "plots.xlsx", rows)
    charts = book["Explain plots"]._charts
    assert len(charts) == 6  # error, error left and cost of the one; error, score and cost of the other
    cpu, npu = charts[:3], charts[3:]
    assert values(book, cpu[0]) == {"this layer alone": [40, 39, 38], "with all before it": [30, 29, 28]}
    assert values(book, cpu[1]) == {"share of the error left": [0.5] * 3}
    assert values(book, npu[1]) == {"score regained": [0, 0.1, 0.2]}
    assert values(book, npu[2]) == {"this backend": [100, 200, 300], "without the delegate": [50] * 3}
    titles = [cell.value for row in book["Explain plots"].iter_rows() for cell in row if cell.value]
    assert titles == ["net/ptq-int8-io/imx8mp/cpu", "net/ptq-int8-io/imx8mp/npu"]


def test_outlier_channels_stand_in_the_rows():
    assert {row["outlier_channels"] for row in explained("cpu", regained=False, beside=False)} == {
        "5 (12.2x), 7 (4.1x)"
    }
