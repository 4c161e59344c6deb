"""Does history flow?"""

from source.panels import CloudWatch, Page, Panel, Prometheus, Unit, quantiles

PAGE = Page(
    uid="rt-history",
    title="rt-genai: history",
    panels=(
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
            title="Size of the outbox",
            says="At OUTBOX_MAX_BYTES no more chats are answered.",
            unit=Unit.BYTES,
            prometheus=(Prometheus("rt_outbox_bytes", "{{instance}}"),),
            cloudwatch=(CloudWatch("OutboxBytes", "Maximum"),),
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
