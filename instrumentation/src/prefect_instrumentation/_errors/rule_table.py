"""The rules that everybody has, in the order in which they are asked; docs/errors.md has them too.

Names are those that classes have for themselves, which need not be those they are imported by.
"""

from __future__ import annotations

import re

from prefect_instrumentation._errors.rules import (
    CANCELLED,
    CONFIGURATION,
    DATA,
    INFRASTRUCTURE,
    TIMEOUT,
    UPSTREAM,
    USER_CODE,
    Rule,
    Rules,
)


def _rule(category: str, message: str = "", *, in_api_client: bool = False, **names: str) -> Rule:
    """Return a rule whose names are written with spaces between them."""
    return Rule(
        category,
        message=re.compile(message) if message else None,
        in_api_client=in_api_client,
        **{condition: frozenset(words.split()) for condition, words in names.items()},
    )


SPECIFIC: Rules = (
    _rule(
        CANCELLED,
        types="asyncio.exceptions.CancelledError concurrent.futures._base.CancelledError"
        " KeyboardInterrupt prefect.exceptions.CancelledRun",
    ),
    _rule(CANCELLED, states="CANCELLED CANCELLING"),
    _rule(
        CANCELLED,
        r"^Execution was (cancelled by the runtime environment|aborted by an interrupt signal)",
        states="CRASHED",
    ),
    _rule(USER_CODE, types="SystemExit"),
    _rule(USER_CODE, r"^Execution was aborted by Python system exit call", states="CRASHED"),
    _rule(TIMEOUT, states="TimedOut"),
    _rule(UPSTREAM, states="NotReady"),
    _rule(UPSTREAM, types="prefect.exceptions.FailedRun prefect.exceptions.UpstreamTaskError"),
    _rule(INFRASTRUCTURE, states="CRASHED"),
    _rule(
        INFRASTRUCTURE,
        types="MemoryError concurrent.futures._base.BrokenExecutor"
        " concurrent.futures.process.BrokenProcessPool"
        " prefect.exceptions.CrashedRun prefect.exceptions.ExternalSignal"
        " prefect.exceptions.InfrastructureError prefect.exceptions.InfrastructureNotAvailable"
        " prefect.exceptions.InfrastructureNotFound prefect.exceptions.PrefectSignal"
        " distributed.scheduler.KilledWorker ray.exceptions.NodeDiedError"
        " ray.exceptions.OutOfMemoryError ray.exceptions.WorkerCrashedError",
    ),
    _rule(
        INFRASTRUCTURE,
        r"^\[Errno (12|23|24|28|122)\]|\bSIGKILL\b|\bOOM-?[Kk]illed\b|\b[Oo]ut of memory\b"
        r"|status code:? (-9|137)\b",
    ),
    _rule(CONFIGURATION, statuses="401 403"),
    _rule(INFRASTRUCTURE, types="prefect.exceptions.PrefectHTTPStatusError", statuses="429 5xx"),
    _rule(INFRASTRUCTURE, types="httpx.RequestError", in_api_client=True),
    _rule(INFRASTRUCTURE, r"\bFailed to reach API at "),
    _rule(
        TIMEOUT,
        types="TimeoutError asyncpg.exceptions.QueryCanceledError"
        " botocore.exceptions.ConnectTimeoutError botocore.exceptions.ReadTimeoutError"
        " elastic_transport.ConnectionTimeout google.api_core.exceptions.GatewayTimeout"
        " google.api_core.exceptions.RetryError httpcore.TimeoutException httpx.TimeoutException"
        " kafka.errors.KafkaTimeoutError prefect.exceptions.FlowPauseTimeout"
        " prefect.exceptions.FlowRunWaitTimeout psycopg.errors.QueryCanceled"
        " psycopg2.errors.QueryCanceled psycopg2.extensions.QueryCanceledError"
        " pymongo.errors.ExecutionTimeout pymongo.errors.NetworkTimeout"
        " pymongo.errors.ServerSelectionTimeoutError redis.exceptions.TimeoutError"
        " requests.exceptions.Timeout sqlalchemy.exc.TimeoutError subprocess.TimeoutExpired"
        " urllib3.exceptions.TimeoutError",
    ),
    _rule(TIMEOUT, statuses="408 504"),
    _rule(
        TIMEOUT,
        r"DEADLINE_EXCEEDED|[Dd]eadline exceeded"
        r"|canceling statement due to (statement|lock) timeout",
    ),
    _rule(
        CONFIGURATION,
        types="ImportError PermissionError"
        " asyncpg.exceptions.InvalidAuthorizationSpecificationError"
        " azure.core.exceptions.ClientAuthenticationError botocore.exceptions.NoCredentialsError"
        " botocore.exceptions.NoRegionError botocore.exceptions.PartialCredentialsError"
        " botocore.exceptions.ProfileNotFound configparser.Error"
        " google.auth.exceptions.DefaultCredentialsError google.auth.exceptions.RefreshError"
        " httpx.InvalidURL httpx.UnsupportedProtocol"
        " paramiko.ssh_exception.AuthenticationException"
        " prefect.exceptions.BlockMissingCapabilities prefect.exceptions.ConfigurationError"
        " prefect.exceptions.InvalidNameError prefect.exceptions.InvalidRepositoryURLError"
        " prefect.exceptions.MissingFlowError prefect.exceptions.MissingProfileError"
        " prefect.exceptions.ObjectLimitReached prefect.exceptions.ObjectUnsupported"
        " prefect.exceptions.ParameterBindError prefect.exceptions.ParameterTypeError"
        " prefect.exceptions.ProfileSettingsValidationError"
        " prefect.exceptions.ProtectedBlockError prefect.exceptions.ScriptError"
        " prefect.exceptions.SignatureMismatchError prefect.exceptions.UnspecifiedFlowError"
        " psycopg.errors.InvalidAuthorizationSpecification psycopg.errors.InvalidPassword"
        " pydantic_settings.exceptions.SettingsError redis.exceptions.AuthenticationError"
        " requests.exceptions.InvalidSchema requests.exceptions.InvalidURL"
        " requests.exceptions.MissingSchema smtplib.SMTPAuthenticationError"
        " sqlalchemy.exc.NoSuchModuleError ssl.SSLCertVerificationError",
    ),
    _rule(
        CONFIGURATION,
        types="KeyError FileNotFoundError",
        raised_in="os.py:__getitem__ subprocess.py:_execute_child",
    ),
    _rule(
        CONFIGURATION,
        r"UNAUTHENTICATED|PERMISSION_DENIED|CERTIFICATE_VERIFY_FAILED"
        r"|password authentication failed|[Aa]ccess denied for user",
    ),
    _rule(
        DATA,
        types="FileNotFoundError UnicodeError _csv.Error _lzma.LZMAError binascii.Error"
        " asyncpg.exceptions.DataError asyncpg.exceptions.IntegrityConstraintViolationError"
        " botocore.errorfactory.NoSuchKey decimal.InvalidOperation gzip.BadGzipFile"
        " json.decoder.JSONDecodeError jsonschema.exceptions.ValidationError"
        " lxml.etree.XMLSyntaxError marshmallow.exceptions.ValidationError"
        " pydantic.error_wrappers.ValidationError pydantic.v1.error_wrappers.ValidationError"
        " pydantic_core._pydantic_core.ValidationError pymongo.errors.DuplicateKeyError"
        " struct.error tarfile.ReadError xml.etree.ElementTree.ParseError"
        " xml.parsers.expat.ExpatError yaml.error.YAMLError zipfile.BadZipFile zlib.error",
    ),
    _rule(
        DATA,
        types="MySQLdb._exceptions.DataError MySQLdb._exceptions.IntegrityError"
        " mysql.connector.errors.DataError mysql.connector.errors.IntegrityError"
        " oracledb.exceptions.DataError oracledb.exceptions.IntegrityError"
        " psycopg.DataError psycopg.IntegrityError psycopg2.DataError psycopg2.IntegrityError"
        " pymysql.err.DataError pymysql.err.IntegrityError pyodbc.DataError pyodbc.IntegrityError"
        " snowflake.connector.errors.DataError snowflake.connector.errors.IntegrityError"
        " sqlalchemy.exc.DataError sqlalchemy.exc.IntegrityError"
        " sqlite3.DataError sqlite3.IntegrityError",
    ),
    _rule(
        UPSTREAM,
        types="ConnectionError ftplib.Error http.client.HTTPException smtplib.SMTPException"
        " socket.gaierror socket.herror ssl.SSLError urllib.error.URLError",
    ),
    _rule(UPSTREAM, statuses="429 5xx"),
    _rule(
        USER_CODE,
        types="ArithmeticError AssertionError AttributeError IndexError NameError"
        " NotImplementedError RecursionError SyntaxError TypeError"
        " asyncpg.exceptions.SyntaxOrAccessError psycopg.ProgrammingError"
        " psycopg2.ProgrammingError pymysql.err.ProgrammingError"
        " sqlalchemy.exc.ProgrammingError sqlite3.ProgrammingError",
    ),
)
"""What is certain: of an error's type, of its status, of what it says."""

GENERAL: Rules = (
    _rule(USER_CODE, packages="prefect"),
    _rule(DATA, packages="great_expectations pandas pandera polars pyarrow"),
    _rule(
        UPSTREAM,
        packages="aiohttp aiokafka asyncpg azure boto3 botocore elastic_transport elasticsearch"
        " google grpc httpcore httpx kafka mysql oracledb paramiko pika psycopg psycopg2 pymongo"
        " pymysql pyodbc redis requests snowflake sqlalchemy urllib3",
    ),
    _rule(
        UPSTREAM,
        types="botocore.exceptions.ClientError httpx.ConnectError httpx.HTTPStatusError"
        " httpx.ReadError httpx.RemoteProtocolError requests.exceptions.HTTPError"
        " sqlalchemy.exc.OperationalError",
    ),
)
"""What is likely: whose package an error is of. Asked if nothing is certain of any cause either."""

BUILT_IN: tuple[Rules, ...] = (SPECIFIC, GENERAL)
