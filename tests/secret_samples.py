"""A secret of each type that is known, drawn anew, so that none stands in this repository."""

import random
import string

LOW, UP, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
HEX = "0123456789abcdef"
ALNUM = LOW + UP + DIGITS
URL = ALNUM + "-_"


def samples(seed=7):
    """A secret by the name of its type."""
    rng = random.Random(seed)

    def draw(length, alphabet=ALNUM):
        return "".join(rng.choice(alphabet) for _ in range(length))

    def of(*parts):
        return "".join(parts)

    return {
        "private-key": of(
            "-----BEGIN RSA PRIV",
            "ATE KEY-----\n",
            draw(64),
            "\n",
            draw(40),
            "\n-----END RSA PRIV",
            "ATE KEY-----",
        ),
        "age-secret-key": of("AGE-SECRET", "-KEY-1", draw(58, UP + DIGITS)),
        "aws-access-key": of("AK", "IA", draw(16, UP + "234567")),
        "google-api-key": of("AI", "za", draw(35, ALNUM)),
        "google-oauth-secret": of("GOC", "SPX-", draw(28, ALNUM)),
        "google-access-token": of("ya", "29.", draw(60, ALNUM)),
        "azure-storage-key": of("AccountKey", "=", draw(86), "=="),
        "azure-client-secret": of(draw(3), "8Q", "~", draw(33)),
        "digitalocean-token": of("dop", "_v1_", draw(64, HEX)),
        "heroku-token": of("HRKU", "-AA", draw(58)),
        "cloudflare-origin-ca-key": of("v1", ".0-", draw(24, HEX), "-", draw(146, HEX)),
        "alibaba-access-key": of("LT", "AI", draw(20)),
        "fly-token": of("fo", "1_", draw(43)),
        "pulumi-token": of("pu", "l-", draw(40, HEX)),
        "databricks-token": of("da", "pi", draw(32, HEX)),
        "planetscale-secret": of("pscale", "_tkn_", draw(43)),
        "supabase-token": of("sb", "p_", draw(40, HEX)),
        "github-token": of("gh", "p_", draw(36)),
        "github-fine-grained-token": of("github", "_pat_", draw(22), "_", draw(59)),
        "gitlab-token": of("gl", "pat-", draw(20)),
        "gitlab-trigger-token": of("glp", "tt-", draw(40, HEX)),
        "bitbucket-token": of("AT", "BB", draw(32)),
        "atlassian-token": of("ATA", "TT3", draw(186)),
        "npm-token": of("np", "m_", draw(36)),
        "pypi-token": of("py", "pi-", draw(90)),
        "rubygems-token": of("ruby", "gems_", draw(48, HEX)),
        "crates-token": of("ci", "o1", draw(31)),
        "nuget-key": of("oy", "2", draw(43, LOW + DIGITS)),
        "docker-token": of("dckr", "_pat_", draw(27)),
        "artifactory-key": of("AK", "Cp", draw(69)),
        "clojars-token": of("CLO", "JARS_", draw(60, LOW + DIGITS)),
        "anthropic-key": of("sk", "-ant-", "api03-", draw(93)),
        "openai-key": of("sk", "-proj-", draw(60)),
        "openrouter-key": of("sk", "-or-v1-", draw(64, HEX)),
        "huggingface-token": of("h", "f_", draw(34)),
        "replicate-token": of("r", "8_", draw(37)),
        "groq-key": of("gs", "k_", draw(52)),
        "perplexity-key": of("pp", "lx-", draw(48)),
        "xai-key": of("xa", "i-", draw(80)),
        "stripe-key": of("sk", "_live_", draw(24)),
        "stripe-webhook-secret": of("wh", "sec_", draw(32)),
        "square-token": of("sq0", "atp-", draw(22)),
        "shopify-token": of("shp", "at_", draw(32, HEX)),
        "braintree-token": of("access_token", "$production$", draw(16, LOW + DIGITS), "$", draw(32, HEX)),
        "flutterwave-key": of("FLW", "SECK-", draw(32, HEX), "-X"),
        "easypost-key": of("EZ", "AK", draw(54)),
        "slack-token": of("xo", "xb-", draw(12, DIGITS), "-", draw(13, DIGITS), "-", draw(24)),
        "slack-webhook": of("hooks.slack", ".com/services/T", draw(8, UP), "/B", draw(8, UP), "/", draw(24)),
        "discord-webhook": of("discord", ".com/api/webhooks/", draw(18, DIGITS), "/", draw(68)),
        "discord-bot-token": of("M", draw(23), ".", draw(6), ".", draw(38)),
        "telegram-bot-token": of("1", draw(9, DIGITS), ":", "AA", draw(33)),
        "sendgrid-key": of("S", "G.", draw(22), ".", draw(43)),
        "mailgun-key": of("ke", "y-", draw(32, HEX)),
        "mailchimp-key": of(draw(32, HEX), "-us", "12"),
        "brevo-key": of("xkey", "sib-", draw(64, HEX), "-", draw(16)),
        "resend-key": of("r", "e_", draw(8), "_", draw(24)),
        "twilio-key": of("S", "K", draw(32, HEX)),
        "vault-token": of("hv", "s.", draw(95)),
        "terraform-token": of(draw(14), ".atlas", "v1.", draw(67)),
        "doppler-token": of("d", "p.pt.", draw(43)),
        "grafana-token": of("gl", "sa_", draw(32), "_", draw(8, HEX)),
        "sentry-token": of("sntr", "yu_", draw(64, HEX)),
        "newrelic-key": of("NR", "AK-", draw(27, UP + DIGITS)),
        "dynatrace-token": of("dt0", "c01.", draw(24, UP + DIGITS), ".", draw(64, UP + DIGITS)),
        "postman-key": of("PM", "AK-", draw(24, HEX), "-", draw(34, HEX)),
        "linear-key": of("lin", "_api_", draw(40)),
        "notion-token": of("nt", "n_", draw(46)),
        "airtable-token": of("pa", "t", draw(14), ".", draw(64, HEX)),
        "contentful-token": of("CFP", "AT-", draw(43)),
        "readme-key": of("rd", "me_", draw(70, LOW + DIGITS)),
        "prefect-key": of("pn", "u_", draw(36)),
        "duffel-token": of("duf", "fel_live_", draw(43)),
        "json-web-token": of("ey", "J", draw(30), ".ey", "J", draw(60), ".", draw(43)),
    }


def spoken(seed=7):
    """What is only hidden in texts: between what stands before and behind it."""
    return {
        "model-key": ("key ", samples(seed)["openai-key"].replace("-proj-", "-x9"), ""),
        "bearer-token": ("Authorization: Bear" + "er ", samples(seed)["npm-token"][4:], ""),
        "url-password": ("https:/" + "/", "ada:" + samples(seed)["npm-token"][4:20], "@example.org/x"),
    }
