"""Does history flow?"""

from source.panels import CloudWatch, Page, Panel, Prometheus, Unit, quantiles

PAGE = Page(
    uid="rt-history",
    title="rt-genai: history",
    panels=(
        Panel(
            title="Seconds until an answer is durable",
            says="A few milliseconds: a sync of this host's disk, or the queue's acknowledgement.",
            unit=Unit.SECONDS,
            prometheus=quantiles("rt_accept_seconds"),
            cloudwatch=(CloudWatch("AcceptSeconds", "p50"), CloudWatch("AcceptSeconds", "p95")),
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
        Panel(
            title="Seconds from the outbox to the store",
            says="Below one while the store is there.",
            unit=Unit.SECONDS,
            prometheus=quantiles("rt_outbox_delivery_seconds"),
            cloudwatch=(CloudWatch("DeliverySeconds", "p50"), CloudWatch("DeliverySeconds", "p95")),
        ),
        Panel(
            title="Waiting in the outbox",
            says="Accepted here, not yet in the store. Near 0 while the store is there.",
            unit=Unit.COUNT,
            prometheus=(Prometheus("rt_outbox_rows", "{{instance}}"),),
            cloudwatch=(CloudWatch("OutboxRows", "Maximum"),),
        ),
        Panel(
            title="Age of the oldest in the outbox",
            says="Rises by a minute a minute while the store is away.",
            unit=Unit.SECONDS,
            prometheus=(Prometheus("rt_outbox_lag_seconds", "{{instance}}"),),
            cloudwatch=(CloudWatch("OutboxLagSeconds", "Maximum"),),
        ),
        Panel(
            title="How full the outbox is",
            says="Of OUTBOX_MAX_ROWS or OUTBOX_MAX_BYTES, whichever is nearer; at 1 no more chats are answered.",
            unit=Unit.SHARE,
            prometheus=(Prometheus("rt_outbox_fill_ratio", "{{instance}}"),),
            cloudwatch=(CloudWatch("OutboxFillRatio", "Maximum"),),
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
        Panel(
            title="Seconds from the queue to the store",
            says="Below two for nearly all; more is a worker that does not keep up, or a store that is away.",
            unit=Unit.SECONDS,
            prometheus=quantiles("rt_queue_lag_seconds"),
            cloudwatch=(CloudWatch("QueueLagSeconds", "p50"), CloudWatch("QueueLagSeconds", "p95")),
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
    ),
)
