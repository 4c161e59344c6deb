"""Health and load of the service"""

from source.panels import (
    CloudWatch,
    Page,
    Panel,
    Prometheus,
    Unit,
    of_each_instance,
    spread_of_seconds,
)

_REQUESTS = "http_server_request_duration_seconds"
_JOB = '{job="rt-genai"}'

PAGE = Page(
    uid="rt-service",
    title="rt-genai: service",
    panels=(
        Panel(
            title="Requests by route",
            says="Requests a second, by route.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus(
                    f"sum by (http_route) (rate({_REQUESTS}_count[$__rate_interval]))",
                    "{{http_route}}",
                ),
            ),
            cloudwatch=(CloudWatch("Requests", "Sum"),),
        ),
        Panel(
            title="Share of requests by status",
            says="5xx should be near 0. 4xx are caused by callers.",
            unit=Unit.SHARE,
            prometheus=(
                Prometheus(
                    f"sum by (http_response_status_class) (rate({_REQUESTS}_count[$__rate_interval]))"
                    f" / scalar(sum(rate({_REQUESTS}_count[$__rate_interval])))",
                    "{{http_response_status_class}}",
                ),
            ),
            cloudwatch=(CloudWatch("ServerErrors", "Sum"), CloudWatch("Requests", "Sum")),
        ),
        spread_of_seconds(
            "Duration of requests",
            "From receipt to the last byte; for chats this is mostly the time of the model.",
            _REQUESTS,
            "RequestSeconds",
            by="http_route",
        ),
        spread_of_seconds(
            "Time that the service adds to a chat",
            "All time except waiting for the model. Normally milliseconds; more means a slow disk, a slow queue or too little CPU.",
            "rt_request_overhead_seconds",
            "OverheadSeconds",
        ),
        Panel(
            title="Chats in flight",
            says="Per instance; above MAX_CONCURRENT_CHATS further ones are refused.",
            unit=Unit.COUNT,
            prometheus=(Prometheus("rt_chats_in_flight", "{{instance}}"),),
            cloudwatch=(
                CloudWatch("ChatsInFlight", "Average"),
                CloudWatch("ChatsInFlight", "Maximum"),
            ),
        ),
        Panel(
            title="Background answers",
            says="Running answers and their readers, per instance; above MAX_BACKGROUND_ANSWERS further ones are refused. Waiting ones should be 0.",
            unit=Unit.COUNT,
            prometheus=(
                Prometheus("rt_background_answers", "{{instance}}"),
                Prometheus("rt_background_answers_waiting", "waiting {{instance}}"),
                Prometheus("rt_background_readers", "readers {{instance}}"),
            ),
            cloudwatch=(
                CloudWatch("BackgroundAnswers", "Maximum"),
                CloudWatch("BackgroundAnswersWaiting", "Maximum"),
                CloudWatch("BackgroundReaders", "Maximum"),
            ),
        ),
        Panel(
            title="Takeovers and restarts of background answers",
            says="Some are normal at each deployment. `restarts` are answers that started again after readers had seen text.",
            unit=Unit.COUNT,
            prometheus=(
                Prometheus(
                    "sum(increase(rt_background_takeovers_total[$__rate_interval]))", "takeovers"
                ),
                Prometheus(
                    "sum by (reason) (increase(rt_background_restarts_total[$__rate_interval]))",
                    "restarts {{reason}}",
                ),
            ),
            cloudwatch=(
                CloudWatch("BackgroundTakeovers", "Sum"),
                CloudWatch("BackgroundRestarts", "Sum"),
            ),
        ),
        spread_of_seconds(
            "Time until events of background answers are durable",
            "Delays readers by this time: milliseconds on a disk, tens of milliseconds in a store.",
            "rt_background_append_seconds",
            "BackgroundAppendSeconds",
        ),
        Panel(
            title="Problems by name",
            says="Errors that callers received. Some are caused by the caller; `limit` is the exhausted limit of the caller.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus(
                    "sum by (problem, limit) (rate(rt_problems_total[$__rate_interval]))",
                    "{{problem}} {{limit}}",
                ),
            ),
            cloudwatch=(CloudWatch("Problems", "Sum"),),
        ),
        Panel(
            title="Chats by status",
            says="`truncated` and `failed` are caused by providers or the service; `client_cancelled` by clients.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus(
                    "sum by (status) (rate(rt_chats_total[$__rate_interval]))", "{{status}}"
                ),
            ),
            cloudwatch=tuple(
                CloudWatch(f"Chats{status}", "Sum")
                for status in ("Completed", "Truncated", "Blocked", "ClientCancelled", "Failed")
            ),
        ),
        Panel(
            title="Replays for an Idempotency-Key",
            says="Repeated requests that got the stored answer without a provider call.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus("sum(rate(rt_idempotent_replays_total[$__rate_interval]))", "replays"),
            ),
            cloudwatch=(CloudWatch("Replays", "Sum"),),
        ),
        of_each_instance(
            "Processor",
            "Share of one core. A process uses one core; near 1, add another process.",
            Unit.SHARE,
            f"rate(process_cpu_seconds_total{_JOB}[$__rate_interval])",
            "ProcessorShare",
        ),
        of_each_instance(
            "Memory",
            "Should be constant after the first minutes.",
            Unit.BYTES,
            f"process_resident_memory_bytes{_JOB}",
            "ResidentBytes",
        ),
        of_each_instance(
            "Open files and connections",
            "Share of the system's limit.",
            Unit.SHARE,
            f"process_open_fds{_JOB} / process_max_fds{_JOB}",
            "OpenFilesRatio",
        ),
        Panel(
            title="Uptime and version",
            says="Hours since start; a line that falls to 0 is a restart.",
            unit=Unit.SECONDS,
            prometheus=(
                Prometheus(
                    f"(time() - process_start_time_seconds{_JOB})"
                    " * on (instance) group_left (version) rt_build_info",
                    "{{instance}} {{version}}",
                ),
            ),
            cloudwatch=(CloudWatch("UptimeSeconds", "Minimum"),),
        ),
    ),
)
