from tests.typechecker import beartype_once as beartype_once
