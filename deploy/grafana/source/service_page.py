"""Is it well?"""

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
            says="How much is asked, and of what.",
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
            says="5xx should be next to nothing. 4xx are the callers' own.",
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
            "Seconds of a request",
            "From receipt to the last byte; for chats, mostly the model's.",
            _REQUESTS,
            "RequestSeconds",
            by="http_route",
        ),
        spread_of_seconds(
            "Seconds the service adds to a chat",
            "All but waiting for a model. Milliseconds; more is a slow disk, a slow queue or no processor left.",
            "rt_request_overhead_seconds",
            "OverheadSeconds",
        ),
        Panel(
            title="Chats under way",
            says="Of one instance; at MAX_CONCURRENT_CHATS more are refused.",
            unit=Unit.COUNT,
            prometheus=(Prometheus("rt_chats_in_flight", "{{instance}}"),),
            cloudwatch=(
                CloudWatch("ChatsInFlight", "Average"),
                CloudWatch("ChatsInFlight", "Maximum"),
            ),
        ),
        Panel(
            title="Background answers",
            says="Being made, of one instance, and its readers; at MAX_BACKGROUND_ANSWERS more are refused. None waits for a process.",
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
            title="Background answers that changed their process",
            says="Some at each deployment. `restarts` are those of which readers saw the beginning in vain.",
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
            "Seconds until events of background answers are durable",
            "Readers see them that much later: milliseconds on a disk, tens of them in a store.",
            "rt_background_append_seconds",
            "BackgroundAppendSeconds",
        ),
        Panel(
            title="Problems by their name",
            says="What callers were told. Some are their own; `limit` says which of a caller's was used up.",
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
            title="Chats by what became of them",
            says="`truncated` and `failed` are the providers' or ours; `client_cancelled` left by themselves.",
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
            title="Told again for their Idempotency-Key",
            says="Clients that retried something that had been answered: each was spared a call.",
            unit=Unit.PER_SECOND,
            prometheus=(
                Prometheus("sum(rate(rt_idempotent_replays_total[$__rate_interval]))", "replays"),
            ),
            cloudwatch=(CloudWatch("Replays", "Sum"),),
        ),
        of_each_instance(
            "Processor",
            "Of one core. A process uses one; near 1 it is time for another.",
            Unit.SHARE,
            f"rate(process_cpu_seconds_total{_JOB}[$__rate_interval])",
            "ProcessorShare",
        ),
        of_each_instance(
            "Memory",
            "Flat after the first minutes.",
            Unit.BYTES,
            f"process_resident_memory_bytes{_JOB}",
            "ResidentBytes",
        ),
        of_each_instance(
            "Open files and connections",
            "Of what the system allows.",
            Unit.SHARE,
            f"process_open_fds{_JOB} / process_max_fds{_JOB}",
            "OpenFilesRatio",
        ),
        Panel(
            title="Running since, and what",
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
