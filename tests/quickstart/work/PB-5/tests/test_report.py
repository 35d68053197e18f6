from pocketbook.__main__ import main

CSV = "date,category,amount,note\n2026-01-02,food,25.00,fair\n2026-01-03,rent,900,\n"


def test_totals_and_overruns_are_printed(tmp_path, capsys):
    file = tmp_path / "expenses.csv"
    file.write_text(CSV)
    assert main([str(file), "--budget", "food=20"]) == 0
    assert capsys.readouterr().out == (
        "rent   900.00\nfood    25.00\ntotal  925.00\nfood was 5.00 over in 2026-01\n"
    )


def test_a_file_that_cannot_be_read_is_one_line_and_exit_1(tmp_path, capsys):
    file = tmp_path / "expenses.csv"
    file.write_text("date,category,amount\n2026-01-02,food,much\n")
    assert main([str(file)]) == 1
    assert capsys.readouterr().err == f"pocketbook: {file}: line 2: not an amount: 'much'\n"


def test_a_missing_file_is_one_line_and_exit_1(tmp_path, capsys):
    assert main([str(tmp_path / "nothing.csv")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
