"""Durability and delivery of history"""

from source.panels import (
    CloudWatch,
    Page,
    Panel,
    Prometheus,
    Unit,
    of_each_instance,
    spread_of_seconds,
)

PAGE = Page(
    uid="rt-history",
    title="rt-genai: history",
    panels=(
        spread_of_seconds(
            "Time until an answer is durable",
            "Normally a few milliseconds: a sync of this host's disk, or the queue's acknowledgement.",
            "rt_accept_seconds",
            "AcceptSeconds",
        ),
        Panel(
            title="Answered but not stored",
            says="0, unless HISTORY_MODE is best_effort and the disk is full.",
            unit=Unit.COUNT,
            prometheus=(
                Prometheus(
                    "sum(increase(rt_chats_not_persisted_total[$__rate_interval]))", "not kept"
                ),
            ),
            cloudwatch=(CloudWatch("NotKept", "Sum"),),
        ),
        spread_of_seconds(
            "Time from the outbox to the store",
            "Below 1 s while the store is available.",
            "rt_outbox_delivery_seconds",
            "DeliverySeconds",
        ),
        of_each_instance(
            "Undelivered in the outbox",
            "Stored on this host, not yet in the store. Near 0 while the store is available.",
            Unit.COUNT,
            "rt_outbox_rows",
            "OutboxRows",
        ),
        of_each_instance(
            "Age of the oldest undelivered interaction",
            "Rises constantly while the store is unavailable.",
            Unit.SECONDS,
            "rt_outbox_lag_seconds",
            "OutboxLagSeconds",
        ),
        of_each_instance(
            "Fill ratio of the outbox",
            "Used share of OUTBOX_MAX_ROWS or OUTBOX_MAX_BYTES, whichever is larger; at 1 chats are refused.",
            Unit.SHARE,
            "rt_outbox_fill_ratio",
            "OutboxFillRatio",
        ),
        Panel(
            title="Messages in the queue and dead letters",
            says="The queue should be near 0, dead letters at 0; read by the workers every half minute.",
            unit=Unit.COUNT,
            prometheus=(
                Prometheus("max(rt_queue_messages)", "in the queue"),
                Prometheus("max(rt_queue_dead_letters)", "dead letters"),
            ),
            cloudwatch=(
                CloudWatch("QueueMessages", "Maximum"),
                CloudWatch("DeadLetters", "Maximum"),
            ),
        ),
        spread_of_seconds(
            "Time from the queue to the store",
            "Normally below 2 s; more means too few workers or an unavailable store.",
            "rt_queue_lag_seconds",
            "QueueLagSeconds",
        ),
        Panel(
            title="Stored by the workers",
            says="Should follow the number of chats.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus("sum(rate(rt_queue_lag_seconds_count[$__rate_interval]))", "stored"),
            ),
            cloudwatch=(CloudWatch("QueueLagSeconds", "SampleCount"),),
        ),
        Panel(
            title="Moved to the dead letters",
            says="Should be 0; otherwise see the runbook.",
            unit=Unit.COUNT,
            prometheus=(
                Prometheus(
                    "sum by (reason) (increase(rt_queue_buried_total[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
            cloudwatch=(CloudWatch("Buried", "Sum"),),
        ),
        Panel(
            title="Attachments stored",
            says="Contents written, and contents that were stored already.",
            unit=Unit.COUNT,
            prometheus=(
                Prometheus(
                    "sum(increase(rt_attachments_stored_total[$__rate_interval]))", "written"
                ),
                Prometheus(
                    "sum(increase(rt_attachments_deduplicated_total[$__rate_interval]))",
                    "stored before",
                ),
            ),
            cloudwatch=(
                CloudWatch("AttachmentsStored", "Sum"),
                CloudWatch("AttachmentsDeduplicated", "Sum"),
            ),
        ),
        Panel(
            title="Bytes of attachments stored",
            says="Size of the images and files that users send.",
            unit=Unit.BYTES,
            prometheus=(
                Prometheus(
                    "sum(increase(rt_attachments_stored_bytes_total[$__rate_interval]))", "written"
                ),
            ),
            cloudwatch=(CloudWatch("AttachmentsStoredBytes", "Sum"),),
        ),
        Panel(
            title="Sweeps of attachments",
            says="References removed after crashes and expiry; no failures. Each process sweeps once an hour.",
            unit=Unit.COUNT,
            prometheus=(
                Prometheus(
                    "sum(increase(rt_attachments_sweep_released_total[$__rate_interval]))",
                    "references removed",
                ),
                Prometheus(
                    "sum(increase(rt_attachments_sweep_failures_total[$__rate_interval]))",
                    "failed sweeps",
                ),
                Prometheus("max(rt_attachments_sweep_contents)", "contents looked at"),
            ),
            cloudwatch=(
                CloudWatch("AttachmentsReleased", "Sum"),
                CloudWatch("AttachmentSweepFailures", "Sum"),
                CloudWatch("AttachmentsSwept", "Maximum"),
            ),
        ),
    ),
)
