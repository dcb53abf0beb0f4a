"""Which keys say that their value is a secret."""

from __future__ import annotations

import pytest

from ftetl.contract import tables
from ftetl.raw.secret_names import KeyKind, classify_key

KEYS = {
    KeyKind.SECRET: """
        apiKey API-KEY api_key wandb_api_key OPENAI_API_KEY openai_apikey x-api-key wandbApiKey password db_passwd
        passwd passwordHash authorization Proxy-Authorization client_secret clientSecret secret secrets
        AWS_SECRET_ACCESS_KEY credentials credentials_json private_key privateKeyPem cookie Set-Cookie session-cookie
        bearer bearerToken access_tokens ssh_key webhook_secret wandb_key license_key
        licenseKey otp mfa_otp pin user_pin""",
    KeyKind.TEXT: """
        auth x_auth X-Auth authentication pass db_pass smtpPass jwt user_jwt dsn sentry_dsn SENTRY_DSN connection_string
        connectionString conn_str aws_access_key_id AWS_ACCESS_KEY_ID""",
    KeyKind.TOKEN: "token api_token API_TOKEN hfToken hf_api_token accesstoken refresh-token token_value",
    KeyKind.NOTHING: """
        token_count prompt_token_count tokenizer max_tokens max_new_tokens tokens eos_token pad_token next_page_token
        price_per_token token_limit tokenized_dataset_path keyword key monkey author secretary api_key_id secret_name
        auth_token_expires_at credential_type cost_per_token session_id auth_type author
        authenticated passed pass_rate first_pass pins spin ping signature model files hyperparameters""",
}


@pytest.mark.parametrize("meaning", KEYS)
def test_a_key_says_so_in_any_spelling(meaning: KeyKind) -> None:
    keys = KEYS[meaning].split()

    assert {key: classify_key(key) for key in keys} == dict.fromkeys(keys, meaning)


def test_no_key_and_no_column_of_the_contracts_says_so() -> None:
    secret = {*tables()["jobs"].secrets}
    keys = {c.name for t in tables().values() for c in t.columns}
    keys |= {key for t in tables().values() for c in t.columns for source in c.sources for key in source.keys}
    keys |= {key for t in tables().values() for path in t.ignore for key in path.split(".")}

    assert {key for key in keys - secret if classify_key(key) is not KeyKind.NOTHING} == set()
    assert all(classify_key(key) is not KeyKind.NOTHING for key in secret)
