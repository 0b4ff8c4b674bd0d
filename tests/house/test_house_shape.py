import ast

FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "manager", "data", "info", "process"}
MAX_FILE_LINES = 400
# One file by design: it is handed to auditors alone, and shares no code. Its table of the records' schema,
# JSON, Ed25519, ML-DSA-44, policies and the C2SP formats are sections of it where they are modules elsewhere.
LONGER_BY_DESIGN = {"audit/verifier.py": 920}
MAX_FUNCTION_LINES = 60


def _functions(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_source_file_is_longer_than_four_hundred_lines(python_files, repository):
    lengths = {
        path.relative_to(repository).as_posix(): len(path.read_text("utf-8").splitlines()) for path in python_files
    }
    limits = {path: LONGER_BY_DESIGN.get(path, MAX_FILE_LINES) for path in lengths}
    assert {path: lines for path, lines in lengths.items() if lines > limits[path]} == {}


def test_no_function_is_longer_than_sixty_lines(python_files, repository):
    too_long = [
        f"{path.relative_to(repository)}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1}"
        for path in python_files
        for node in _functions(path)
        if node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert too_long == []


def test_no_module_is_named_after_nothing_in_particular(library_files, repository):
    named = {path: {path.stem, path.parent.name} & FORBIDDEN_NAMES for path in library_files}
    assert [str(path.relative_to(repository)) for path, names in named.items() if names] == []


def test_tests_are_no_packages_that_could_hide_the_real_ones(repository):
    assert list((repository / "tests").rglob("__init__.py")) == []


def test_every_test_file_has_a_name_of_its_own(python_files, repository):
    names = [path.name for path in python_files if path.name.startswith("test_")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_every_test_is_named_by_a_sentence_of_four_words_or_more(python_files, repository):
    short = [
        f"{path.relative_to(repository)}: {node.name}"
        for path in python_files
        if path.name.startswith("test_")
        for node in _functions(path)
        if node.name.startswith("test_") and len(node.name.split("_")) < 5
    ]
    assert short == []


def test_every_module_says_what_it_is_for(library_files, repository):
    silent = [
        str(path.relative_to(repository))
        for path in library_files
        if ast.get_docstring(ast.parse(path.read_text("utf-8"))) is None
    ]
    assert silent == []
