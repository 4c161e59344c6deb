"""Does history flow?"""

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
            "Seconds until an answer is durable",
            "A few milliseconds: a sync of this host's disk, or the queue's acknowledgement.",
            "rt_accept_seconds",
            "AcceptSeconds",
        ),
        Panel(
            title="Answered and not kept",
            says="Nothing, unless HISTORY_MODE is best_effort and the disk is full.",
            unit=Unit.COUNT,
            prometheus=(
                Prometheus(
                    "sum(increase(rt_chats_not_persisted_total[$__rate_interval]))", "not kept"
                ),
            ),
            cloudwatch=(CloudWatch("NotKept", "Sum"),),
        ),
        spread_of_seconds(
            "Seconds from the outbox to the store",
            "Below one while the store is there.",
            "rt_outbox_delivery_seconds",
            "DeliverySeconds",
        ),
        of_each_instance(
            "Waiting in the outbox",
            "Accepted here, not yet in the store. Near 0 while the store is there.",
            Unit.COUNT,
            "rt_outbox_rows",
            "OutboxRows",
        ),
        of_each_instance(
            "Age of the oldest in the outbox",
            "Rises by a minute a minute while the store is away.",
            Unit.SECONDS,
            "rt_outbox_lag_seconds",
            "OutboxLagSeconds",
        ),
        of_each_instance(
            "How full the outbox is",
            "Of OUTBOX_MAX_ROWS or OUTBOX_MAX_BYTES, whichever is nearer; at 1 no more chats are answered.",
            Unit.SHARE,
            "rt_outbox_fill_ratio",
            "OutboxFillRatio",
        ),
        Panel(
            title="In the queue, and among the dead letters",
            says="The queue near 0, the dead letters at 0; as the workers see them every half minute.",
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
            "Seconds from the queue to the store",
            "Below two for nearly all; more is a worker that does not keep up, or a store that is away.",
            "rt_queue_lag_seconds",
            "QueueLagSeconds",
        ),
        Panel(
            title="Stored by the workers",
            says="Follows the chats.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus("sum(rate(rt_queue_lag_seconds_count[$__rate_interval]))", "stored"),
            ),
            cloudwatch=(CloudWatch("QueueLagSeconds", "SampleCount"),),
        ),
        Panel(
            title="Put among the dead letters",
            says="Nothing. Anything else needs somebody to look.",
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
            says="Contents written, and those that were stored before and cost no space again.",
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
            says="Follows the images and files that users send.",
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
