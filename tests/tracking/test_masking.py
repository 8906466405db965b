"""Does an address keep its secrets, whatever form they have?"""

import pytest

from tomovox.tracking.masking import address, masked

SECRET = "s3cr3tword"
ADDRESSES = [
    f"http://me:{SECRET}@host:5000",
    f"https://{SECRET}@host/path",
    f"http://me:{SECRET}/with@slash@host:5000/path",
    f"http://me:{SECRET}'quoted@host",
    f"http://host:5000/?token={SECRET}",
    f"http://host:5000/path?a=b&api_key={SECRET}#there",
    f"http://host/#{SECRET}",
    f"postgresql+psycopg2://me:{SECRET}@db:5432/mlflow?sslpassword={SECRET}",
]


@pytest.mark.parametrize("uri", ADDRESSES)
def test_an_address_hides_its_secrets_and_shows_its_host(uri):
    shown = address(uri)
    assert SECRET not in shown
    assert "host" in shown or "@db:5432/mlflow" in shown


@pytest.mark.parametrize("uri", ADDRESSES)
def test_what_is_hidden_once_is_hidden_the_same_again(uri):
    assert address(address(uri)) == address(uri)


@pytest.mark.parametrize(
    "uri", ["http://host:5000/path", "sqlite:////home/me@corp/mlflow.db", "databricks", "mlruns"]
)
def test_an_address_without_secrets_stays_as_it_is(uri):
    assert address(uri) == uri


@pytest.mark.parametrize("uri", ADDRESSES)
def test_a_message_about_an_address_hides_its_secrets(uri):
    text = f"API request to {uri}/api/2.0/runs/get?run_id=1 failed: {uri!r} is away"
    assert SECRET not in masked(text, uri) and "failed" in masked(text, uri)


def test_a_part_of_a_password_alone_is_hidden():
    uri = f"http://me:{SECRET}/rest@host"
    assert SECRET not in masked(f"Port could not be cast to integer value as {SECRET!r}", uri)


def test_a_password_that_was_quoted_is_hidden_unquoted_too():
    uri = "http://me:pass%2Fword@host"
    assert "pass/word" not in masked("no access with pass/word", uri)


def test_an_address_of_somebody_else_is_hidden_too():
    assert masked("see s3://key:word@bucket/a b") == "see s3://***@bucket/a b"


def test_the_values_of_a_path_are_hidden_and_the_rest_is_kept():
    text = "Max retries exceeded with url: /api?name=x&token=y (Caused by refused)"
    shown = "Max retries exceeded with url: /api?name=***&token=*** (Caused by refused)"
    assert masked(text) == shown
