"""The schema of an outbox: the tables of the embedded store, and those of delivery."""

from infra.history.sqlite.schema import INTERACTIONS

_DELIVERY = """
CREATE TABLE undelivered (
    -- never used again: a delivery under way is marked by it, and must not mark another row
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL UNIQUE,
    bytes INTEGER NOT NULL,
    accepted_ms INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER))
);
CREATE TABLE delivered (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL);
CREATE INDEX delivered_by_time ON delivered (at_ms);
CREATE TABLE refused (seq INTEGER PRIMARY KEY);

CREATE TABLE backlog (rows INTEGER NOT NULL, bytes INTEGER NOT NULL);
INSERT INTO backlog VALUES (0, 0);
CREATE TRIGGER backlog_grows AFTER INSERT ON undelivered BEGIN
    UPDATE backlog SET rows = rows + 1, bytes = bytes + NEW.bytes;
END;
CREATE TRIGGER backlog_shrinks AFTER DELETE ON undelivered BEGIN
    UPDATE backlog SET rows = rows - 1, bytes = bytes - OLD.bytes;
END;

CREATE TRIGGER new_is_undelivered AFTER INSERT ON interaction BEGIN
    INSERT INTO undelivered (seq, bytes) VALUES (NEW.seq, octet_length(NEW.body));
END;
CREATE TRIGGER gone_needs_no_delivery AFTER DELETE ON interaction BEGIN
    DELETE FROM undelivered WHERE seq = OLD.seq;
    DELETE FROM delivered WHERE seq = OLD.seq;
    DELETE FROM refused WHERE seq = OLD.seq;
END;
CREATE TRIGGER changed_is_undelivered AFTER UPDATE OF body ON interaction BEGIN
    DELETE FROM undelivered WHERE seq = OLD.seq;
    DELETE FROM delivered WHERE seq = OLD.seq;
    DELETE FROM refused WHERE seq = OLD.seq;
    INSERT INTO undelivered (seq, bytes) VALUES (NEW.seq, octet_length(NEW.body));
END;
"""

OUTBOX_MIGRATIONS: tuple[str, ...] = (INTERACTIONS + _DELIVERY,)
"""Each step leads to the next `user_version` of the file; steps are only added at the end."""
