"""The servers that everything else stands on: they keep what they promised, and let nobody else in."""

from __future__ import annotations

import os
import pwd
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pika
import psutil
import psycopg
import pytest
import redis
from sqlalchemy import create_engine, make_url, text

from schema.errors import Permanent
from services.embedded import EmbeddedPostgres, default_settings
from tests.servers import Postgres, RabbitMQ, Redis, create_database, drop_database

GIB = 1 << 30


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))


def ask_for_one(url: str) -> int | None:
    engine = create_engine(url)
    with engine.connect() as connection:
        answer = connection.execute(text("select 1")).scalar()
    engine.dispose()
    return answer


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path / "data", {"shared_buffers": "16MB"}) as running:
        yield running


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitMQ]:
    with RabbitMQ() as running:
        yield running


def test_shared_buffers_are_an_eighth_of_the_memory_within_bounds() -> None:
    sizes = [default_settings(gib * GIB)["shared_buffers"] for gib in (1, 4, 24)]

    assert sizes == ["256MB", "512MB", "1024MB"]


def test_a_new_folder_becomes_a_database_with_a_url_for_sqlalchemy(cluster: EmbeddedPostgres) -> None:
    assert ask_for_one(cluster.url()) == 1


def test_starting_again_keeps_what_was_written(cluster: EmbeddedPostgres) -> None:
    with connect(cluster.url()) as connection:
        connection.execute("create table lead as select 7 as id")

    cluster.stop()
    cluster.start()

    with connect(cluster.url()) as connection:
        assert connection.execute("select id from lead").fetchall() == [(7,)]


def test_a_second_start_on_the_folder_attaches_and_does_not_stop_the_server(cluster: EmbeddedPostgres) -> None:
    second = EmbeddedPostgres(cluster.data_dir)

    assert second.start() == cluster.url()
    assert second.pid is None
    second.stop()

    assert ask_for_one(cluster.url()) == 1


def test_what_a_crash_left_of_making_a_cluster_is_cleared_away(tmp_path: Path) -> None:
    half_made = tmp_path / ".data.init-x"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")

    with EmbeddedPostgres(tmp_path / "data", {"shared_buffers": "16MB"}) as running:
        assert ask_for_one(running.url()) == 1

    assert not half_made.exists()


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")

    with pytest.raises(Permanent) as refusal:
        EmbeddedPostgres(tmp_path).start()

    assert refusal.value.code == "database_folder_not_empty"
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="max_connections"):
        EmbeddedPostgres(tmp_path / "data", {"max_connections": "many"}).start()


def test_a_process_number_left_in_the_folder_and_used_by_somebody_else_does_no_harm(cluster: EmbeddedPostgres) -> None:
    cluster.stop()
    (cluster.data_dir / "postmaster.pid").write_text(f"{os.getppid()}\n/nowhere\n0\n5432\n.\n\n0 0\nready\n")

    cluster.start()

    assert ask_for_one(cluster.url()) == 1


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60) / "with, comma"

    with EmbeddedPostgres(deep, {"shared_buffers": "16MB"}) as running:
        assert ask_for_one(running.url()) == 1


def test_there_is_no_tcp_port(cluster: EmbeddedPostgres) -> None:
    assert cluster.pid

    assert psutil.Process(cluster.pid).net_connections("inet") == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("stranger", ["nobody", "games"])
def test_another_user_of_the_machine_does_not_get_in_even_when_the_folder_is_open(stranger: str) -> None:
    with TemporaryDirectory() as folder, EmbeddedPostgres(Path(folder, "data")) as cluster:
        for each in (Path(folder), cluster.data_dir):
            each.chmod(0o755)
        assert cluster.pid
        psql = Path(psutil.Process(cluster.pid).exe()).with_name("psql")

        tried = subprocess.run(
            [psql, "--host", cluster.data_dir, "--username=throughline", "--list"],
            check=False,
            env={},
            cwd="/",
            capture_output=True,
            text=True,
            user=pwd.getpwnam(stranger).pw_uid,
            extra_groups=[],
        )

    assert "Peer authentication failed" in tried.stderr


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_ends_with_the_process_that_started_it(tmp_path: Path, signum: signal.Signals) -> None:
    program = "import sys, pathlib, signal; from services.embedded import EmbeddedPostgres as E\n"
    program += "e = E(pathlib.Path(sys.argv[1])); e.start(); print(e.pid, flush=True); signal.pause()"
    command = [sys.executable, "-c", program, str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        server = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signum)

    assert select.select([server], [], [], 60)[0] == [server]  # readable: it has ended
    os.close(server)
    with EmbeddedPostgres(tmp_path / "data") as again:
        assert ask_for_one(again.url()) == 1


def test_every_committed_row_is_there_after_a_crash() -> None:
    server = Postgres()
    with connect(server.start()) as connection:
        connection.execute("create table lead as select generate_series(1, 10000) as id")

    server.crash()
    server.start()

    with connect(server.url()) as connection:
        assert connection.execute("select count(*) from lead").fetchone() == (10000,)
    server.stop()


def test_a_server_whose_first_process_alone_was_killed_starts_again(cluster: EmbeddedPostgres) -> None:
    with connect(cluster.url()) as connection:
        connection.execute("create table lead as select 7 as id")
        connection.commit()
        assert cluster.pid
        os.kill(cluster.pid, signal.SIGKILL)

        cluster.start()

    with connect(cluster.url()) as connection:
        assert connection.execute("select id from lead").fetchall() == [(7,)]


def test_a_database_is_made_from_a_template_and_dropped(postgres_server: str, corner: int) -> None:
    source, copy = f"source_{corner}", f"copy_{corner}"
    with connect(create_database(postgres_server, source)) as connection:
        connection.execute("create table lead as select 7 as id")

    with connect(create_database(postgres_server, copy, source)) as connection:
        assert connection.execute("select id from lead").fetchall() == [(7,)]
    for name in (source, copy):
        drop_database(postgres_server, name)


def test_redis_keeps_what_it_was_told_over_a_restart_and_loses_it_in_a_flush() -> None:
    with Redis() as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("hint", "7")
        server.restart()
        with redis.Redis.from_url(server.url) as client:
            assert client.get("hint") == b"7"
            server.flush()
            assert client.get("hint") is None
        server.kill()
        with redis.Redis.from_url(server.start()) as client:
            assert client.ping()


def test_workers_do_not_see_each_others_redis(redis_server: str, corner: int) -> None:
    assert redis_server.endswith(f"/{corner}")
    with redis.Redis.from_url(redis_server) as client:
        assert client.ping()


def test_each_worker_has_a_virtual_host_on_rabbitmq(rabbitmq_server: str) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(rabbitmq_server))) as connection:
        assert connection.channel().queue_declare("", exclusive=True).method.queue


@pytest.mark.xdist_group("a RabbitMQ to hurt")
def test_rabbitmq_keeps_a_durable_message_over_a_kill(rabbit: RabbitMQ) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(rabbit.url))) as connection:
        connection.channel().queue_declare("kept", durable=True)
    # A confirm means that the message is on disk; that its queue is, nothing says but an orderly end.
    with closing(pika.BlockingConnection(pika.URLParameters(rabbit.restart()))) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.basic_publish("", "kept", b"7", pika.BasicProperties(delivery_mode=2))

    rabbit.kill()

    with closing(pika.BlockingConnection(pika.URLParameters(rabbit.start()))) as connection:
        assert connection.channel().basic_get("kept", auto_ack=True)[2] == b"7"


@pytest.mark.xdist_group("a RabbitMQ to hurt")
def test_a_deleted_queue_is_gone(rabbit: RabbitMQ) -> None:
    with closing(pika.BlockingConnection(pika.URLParameters(rabbit.url))) as connection:
        connection.channel().queue_declare("lost", durable=True)

    rabbit.delete_queue("lost")

    with closing(pika.BlockingConnection(pika.URLParameters(rabbit.url))) as connection:
        channel = connection.channel()
        with pytest.raises(pika.exceptions.ChannelClosedByBroker):
            channel.queue_declare("lost", passive=True)
