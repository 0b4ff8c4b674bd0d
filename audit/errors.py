"""What can go wrong in the ledger, each with a code that scripts may rely on.

AuditError
|- Malformed              bytes that are not in the one accepted form       malformed
|- VerificationFailed     well-formed, and not true                         verification_failed
|  |- InclusionInvalid    an inclusion proof that does not reach the root   inclusion_invalid
|  |- ConsistencyInvalid  a tree that is not an extension of the other      consistency_invalid
|  |- SignatureInvalid    a signature by a known key that does not verify   signature_invalid
|  |- SignatureMissing    no signature by any key that is asked for         signature_missing
|  `- Altered             a stored record, hash or column is not as hashed  altered
|- Unattested             consistent, but nothing outside vouches for it    unattested
|- LedgerUnavailable      no record can be made durable now                 ledger_unavailable
|  `- KeyMissing          this process was not given the log's present key  key_missing
|- RecordRefused          this record, and no other, cannot be written      record_refused
|- CallerBehind           the caller's size is too far behind to prove      caller_behind
|- DatabaseChanged        another timeline than the one that was checked    database_changed
|- LedgerForked           the database contradicts what was signed or seen  ledger_forked
|  |- KeyUnknown          signed for this log by a key it does not know     key_unknown
|  `- LogClosed           recovery closed this log; another continues it    log_closed
|- LedgerNotInitialised   no record 0                                       ledger_not_initialised
|- LedgerExists           a second record 0 was asked for                   ledger_exists
|- LeaseLost              another leads now, or may                       lease_lost
|- WitnessFailed          a witness that did not cosign                    witness_failed
|- LogUnknown             a witness that does not know the log              log_unknown
|- SizeConflict           another size than the one cosigned last           size_conflict
|- WitnessUnavailable     a witness that can cosign nothing now             witness_unavailable
|- WitnessBusy            more checkpoints of a log than a witness takes    witness_busy
|- NothingLost            a log that can go on was to be closed             nothing_lost
|- NotFound               no record at this index                           not_found
|- TokenRefused           an access token that is not one for us            token_refused
|- IdentityUnavailable    the issuer of identities cannot be asked          identity_unavailable
|- VaultUnavailable       the vault of the secrets cannot be asked          vault_unavailable
`- SettingInvalid         a setting that cannot be obeyed                   setting_invalid
"""

from typing import ClassVar


class AuditError(Exception):
    """An error of the ledger; `code` is stable, the message says expected, got and remedy."""

    code: ClassVar[str] = "audit_error"


class Malformed(AuditError):
    code = "malformed"


class VerificationFailed(AuditError):
    code = "verification_failed"


class InclusionInvalid(VerificationFailed):
    code = "inclusion_invalid"


class ConsistencyInvalid(VerificationFailed):
    code = "consistency_invalid"


class SignatureInvalid(VerificationFailed):
    code = "signature_invalid"


class SignatureMissing(VerificationFailed):
    code = "signature_missing"


class Altered(VerificationFailed):
    code = "altered"


class Unattested(AuditError):
    code = "unattested"


class LedgerUnavailable(AuditError):
    code = "ledger_unavailable"


class KeyMissing(LedgerUnavailable):
    code = "key_missing"


class RecordRefused(AuditError):
    code = "record_refused"


class CallerBehind(AuditError):
    code = "caller_behind"


class DatabaseChanged(AuditError):
    code = "database_changed"


class LedgerForked(AuditError):
    code = "ledger_forked"


class KeyUnknown(LedgerForked):
    code = "key_unknown"


class LogClosed(LedgerForked):
    code = "log_closed"


class LedgerNotInitialised(AuditError):
    code = "ledger_not_initialised"


class LedgerExists(AuditError):
    code = "ledger_exists"


class LeaseLost(AuditError):
    code = "lease_lost"


class WitnessFailed(AuditError):
    """`reason` is one word for metrics."""

    code = "witness_failed"

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class LogUnknown(AuditError):
    code = "log_unknown"


class SizeConflict(AuditError):
    """`size` is that of the checkpoint which the witness cosigned last, 0 where there is none."""

    code = "size_conflict"

    def __init__(self, size: int) -> None:
        super().__init__(f"witness: the checkpoint that was cosigned last has the size {size}: prove from there")
        self.size = size


class WitnessUnavailable(AuditError):
    code = "witness_unavailable"


class WitnessBusy(AuditError):
    code = "witness_busy"


class NothingLost(AuditError):
    code = "nothing_lost"


class NotFound(AuditError):
    code = "not_found"


class TokenRefused(AuditError):
    code = "token_refused"


class IdentityUnavailable(AuditError):
    code = "identity_unavailable"


class VaultUnavailable(AuditError):
    code = "vault_unavailable"


class SettingInvalid(AuditError):
    code = "setting_invalid"
