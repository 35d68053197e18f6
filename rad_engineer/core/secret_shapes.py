"""What secrets look like that say themselves what they are: a row for each type, by its fixed beginning."""

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Shape:
    """A type of secret: what a text with one must contain, and its shape. A group called `s` is the secret in it."""

    name: str
    marks: tuple[str, ...]
    shape: str
    text_only: bool = False  # hidden in logs and prompts; in code it is too often only spoken of


_W = r"[A-Za-z0-9_-]"  # of base64 for URLs
_A = r"[A-Za-z0-9]"
_END = r"(?![A-Za-z0-9_-])"

SHAPES: tuple[Shape, ...] = (
    Shape("private-key", ("-----BEGIN ",),
          r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----(?:[^\"'<>]{0,20000}?-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----"
          r"|[A-Za-z0-9+/=\s\\:,-]*)"),
    Shape("age-secret-key", ("AGE-SECRET-KEY-1",), r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}"),
    # Clouds
    Shape("aws-access-key", ("AKIA", "ASIA", "ABIA", "ACCA"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    Shape("google-api-key", ("AIza",), rf"\bAIza{_W}{{35}}{_END}"),
    Shape("google-oauth-secret", ("GOCSPX-",), rf"\bGOCSPX-{_W}{{28}}{_END}"),
    Shape("google-access-token", ("ya29.",), r"\bya29\.[A-Za-z0-9_.-]{30,}"),
    Shape("azure-storage-key", ("AccountKey=",), r"(?<=AccountKey=)[A-Za-z0-9+/]{86}=="),
    Shape("azure-client-secret", ("8Q~", "7Q~"), r"(?<![\w~.-])[A-Za-z0-9_~.]{3}[78]Q~[A-Za-z0-9_~.-]{31,34}(?![\w~.-])"),
    Shape("digitalocean-token", ("dop_v1_", "doo_v1_", "dor_v1_"), r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    Shape("heroku-token", ("HRKU-AA",), rf"\bHRKU-AA{_W}{{58}}{_END}"),
    Shape("cloudflare-origin-ca-key", ("v1.0-",), r"\bv1\.0-[a-f0-9]{24}-[a-f0-9]{146}\b"),
    Shape("alibaba-access-key", ("LTAI",), rf"\bLTAI{_A}{{20}}\b"),
    Shape("fly-token", ("fo1_", "fm2_"), r"\b(?:fo1_[\w-]{43}|fm2_[A-Za-z0-9+/]{100,}={0,3})"),
    Shape("pulumi-token", ("pul-",), r"\bpul-[a-f0-9]{40}\b"),
    Shape("databricks-token", ("dapi",), r"\bdapi[a-f0-9]{32}(?:-\d)?\b"),
    Shape("planetscale-secret", ("pscale_",), r"\bpscale_(?:tkn|pw|oauth)_[\w=.-]{32,64}"),
    Shape("supabase-token", ("sbp_",), r"\bsbp_[a-f0-9]{40}\b"),
    # Forges and registries
    Shape("github-token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), rf"\bgh[pousr]_{_A}{{36,}}\b"),
    Shape("github-fine-grained-token", ("github_pat_",), r"\bgithub_pat_[A-Za-z0-9_]{40,}"),
    Shape("gitlab-token", ("glpat-", "gldt-", "glrt-", "glcbt-", "glft-", "glimt-", "glagent-", "gloas-", "glsoat-"),
          rf"\bgl(?:pat|dt|rt|cbt|ft|imt|agent|oas|soat)-{_W}{{20,}}"),
    Shape("gitlab-trigger-token", ("glptt-",), r"\bglptt-[a-f0-9]{40}\b"),
    Shape("bitbucket-token", ("ATBB",), rf"\bATBB{_A}{{32}}\b"),
    Shape("atlassian-token", ("ATATT3",), r"\bATATT3[A-Za-z0-9_=-]{180,}"),
    Shape("npm-token", ("npm_",), rf"\bnpm_{_A}{{36}}\b"),
    Shape("pypi-token", ("pypi-",), rf"\bpypi-{_W}{{50,}}"),
    Shape("rubygems-token", ("rubygems_",), r"\brubygems_[a-f0-9]{48}\b"),
    Shape("crates-token", ("cio",), rf"(?<![A-Za-z0-9_])cio(?=[A-Za-z]*\d){_A}{{32}}\b"),
    Shape("nuget-key", ("oy2",), r"(?<![A-Za-z0-9])oy2[a-z0-9]{43}\b"),
    Shape("docker-token", ("dckr_pat_", "dckr_oat_"), rf"\bdckr_[po]at_{_W}{{27,}}"),
    Shape("artifactory-key", ("AKCp",), rf"\bAKCp{_A}{{69}}\b"),
    Shape("clojars-token", ("CLOJARS_",), r"\bCLOJARS_[a-z0-9]{60}\b"),
    # Models
    Shape("anthropic-key", ("sk-ant-",), rf"\bsk-ant-{_W}{{20,}}"),
    Shape("openai-key", ("sk-proj-", "sk-svcacct-", "sk-admin-", "T3BlbkFJ"),
          rf"\bsk-(?:(?:proj|svcacct|admin)-{_W}{{20,}}|{_A}{{20}}T3BlbkFJ{_A}{{20}})"),
    Shape("openrouter-key", ("sk-or-",), rf"\bsk-or-{_W}{{24,}}"),
    Shape("model-key", ("sk-",), r"\bsk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{16,}", text_only=True),
    Shape("huggingface-token", ("hf_", "api_org_"), r"\b(?:hf_|api_org_)[A-Za-z0-9]{34,}\b"),
    Shape("replicate-token", ("r8_",), rf"\br8_{_A}{{37}}\b"),
    Shape("groq-key", ("gsk_",), rf"\bgsk_{_A}{{52}}\b"),
    Shape("perplexity-key", ("pplx-",), rf"\bpplx-{_A}{{48}}\b"),
    Shape("xai-key", ("xai-",), rf"\bxai-{_A}{{80}}\b"),
    # Money and shops
    Shape("stripe-key", ("sk_live_", "sk_test_", "rk_live_", "rk_test_", "sk_prod_", "rk_prod_"),
          rf"\b[sr]k_(?:live|test|prod)_{_A}{{16,}}\b"),
    Shape("stripe-webhook-secret", ("whsec_",), r"\bwhsec_[A-Za-z0-9+/]{32,}=*"),
    Shape("square-token", ("sq0atp-", "sq0csp-"), rf"\bsq0(?:atp-{_W}{{22}}|csp-{_W}{{43}}){_END}"),
    Shape("shopify-token", ("shpat_", "shpss_", "shpca_", "shppa_"), r"\bshp(?:at|ss|ca|pa)_[a-fA-F0-9]{32}\b"),
    Shape("braintree-token", ("access_token$",), r"\baccess_token\$(?:production|sandbox)\$[a-z0-9]{16}\$[a-f0-9]{32}\b"),
    Shape("flutterwave-key", ("FLWSECK",), r"\bFLWSECK(?:_TEST)?-[a-f0-9]{12,32}(?:-X)?\b"),
    Shape("easypost-key", ("EZAK", "EZTK"), rf"\bEZ[AT]K{_A}{{54}}\b"),
    # Messages
    Shape("slack-token", ("xox", "xapp-"), r"\b(?:xox[abeprs]-[A-Za-z0-9-]{20,}|xapp-\d-[A-Z0-9]+-\d+-[a-z0-9]{32,})"),
    Shape("slack-webhook", ("hooks.slack.com/",), r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{40,60}"),
    Shape("discord-webhook", ("/api/webhooks/",), r"discord(?:app)?\.com/api/webhooks/\d{17,20}/[\w-]{60,70}"),
    Shape("discord-bot-token", ("M", "N", "O"), rf"(?<![\w.-])[MNO][A-Za-z\d_-]{{23,25}}\.[A-Za-z\d_-]{{6}}\.[A-Za-z\d_-]{{27,38}}{_END}"),
    Shape("telegram-bot-token", (":AA",), r"(?<![\w])\d{8,10}:AA[A-Za-z0-9_-]{33}(?![\w-])"),
    Shape("sendgrid-key", ("SG.",), rf"\bSG\.{_W}{{22}}\.{_W}{{43}}{_END}"),
    Shape("mailgun-key", ("key-",), r"(?<![A-Za-z0-9_-])key-[a-f0-9]{32}\b"),
    Shape("mailchimp-key", ("-us",), r"\b[a-f0-9]{32}-us\d{1,2}\b"),
    Shape("brevo-key", ("xkeysib-",), r"\bxkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}\b"),
    Shape("resend-key", ("re_",), r"(?<![A-Za-z0-9_])re_[A-Za-z0-9]{8}_[A-Za-z0-9]{24}\b"),
    Shape("twilio-key", ("SK",), r"\bSK[0-9a-f]{32}\b"),
    # Tools
    Shape("vault-token", ("hvs.", "hvb.", "hvr."), rf"\bhv[sbr]\.{_W}{{24,}}"),
    Shape("terraform-token", (".atlasv1.",), r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,70}"),
    Shape("doppler-token", ("dp.",), r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.(?:[\w-]+\.)?[A-Za-z0-9]{40,44}\b"),
    Shape("grafana-token", ("glsa_", "glc_"), r"\b(?:glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}|glc_[A-Za-z0-9+/]{32,}={0,2})"),
    Shape("sentry-token", ("sntrys_", "sntryu_"), r"\bsntry(?:s_eyJ[A-Za-z0-9+/=_]{60,}|u_[a-f0-9]{64})"),
    Shape("newrelic-key", ("NRAK-", "NRII-", "NRJS-"), r"\bNR(?:AK-[A-Z0-9]{27}|II-[A-Za-z0-9-]{32}|JS-[a-f0-9]{19})\b"),
    Shape("dynatrace-token", ("dt0c01.",), r"\bdt0c01\.[A-Z0-9]{24}\.[A-Z0-9]{64}\b"),
    Shape("postman-key", ("PMAK-",), r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}\b"),
    Shape("linear-key", ("lin_api_", "lin_oauth_"), r"\blin_(?:api|oauth)_[A-Za-z0-9]{40,}\b"),
    Shape("notion-token", ("ntn_", "secret_"), r"\b(?:ntn_[A-Za-z0-9]{40,50}|secret_(?=[A-Za-z]*\d)[A-Za-z0-9]{43})\b"),
    Shape("airtable-token", ("pat",), r"\bpat[A-Za-z0-9]{14}\.[a-f0-9]{64}\b"),
    Shape("contentful-token", ("CFPAT-",), rf"\bCFPAT-{_W}{{43}}{_END}"),
    Shape("readme-key", ("rdme_",), r"\brdme_[a-z0-9]{70}\b"),
    Shape("prefect-key", ("pnu_", "pnb_"), r"\bpn[ub]_[A-Za-z0-9]{36}\b"),
    Shape("duffel-token", ("duffel_",), rf"\bduffel_(?:live|test)_{_W}{{43}}{_END}"),
    # What any service may use
    Shape("json-web-token", ("eyJ",), r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*"),
    Shape("bearer-token", ("earer ", "EARER ", "-key: ", "-Key: ", "-KEY: "),
          r"(?i:(?<=bearer )|(?<=x-api-key: ))[A-Za-z0-9._~+/=-]{12,}", text_only=True),
    Shape("url-password", ("://",), r"(?<=://)[^\s:/@'\"<>]{1,200}:[^\s:/@'\"<>]{3,200}(?=@)", text_only=True),
)  # fmt: skip
"""More particular types come first: what one of them has taken is no other's."""


_EDGE = re.compile(r"\\b|\(\?<!\[[^\]]*\](?:\\-)?\)")


@cache
def compiled(name: str) -> re.Pattern[str]:
    """The pattern of a type; compiled when a text first has its mark.

    Where JSON writes a line break as two characters, the second one is no letter before a secret.
    """
    shape = _BY_NAME[name].shape
    edge = _EDGE.match(shape)
    return re.compile(f"(?:{edge[0]}|(?<=\\\\[nrt])){shape[edge.end() :]}" if edge else shape)


_BY_NAME = {shape.name: shape for shape in SHAPES}
