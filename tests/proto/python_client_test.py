#!/usr/bin/python3
"""Another language on the contract: Python's grpcio drives submit, watch and rank with nothing but what the server's
reflection tells, no generated code and no .proto file."""

import json
import pathlib
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, empty_pb2, message_factory

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from service import BIN  # noqa: E402

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def reflection_messages():
    """Request and response of server reflection, as its specification numbers their fields."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="reflection_in_test.proto", package="t", syntax="proto3")

    def message(name, *fields):
        out = file.message_type.add(name=name)
        for number, label, kind, field_name, type_name in fields:
            out.field.add(name=field_name, number=number, label=label, type=kind, type_name=type_name)

    one, many, text, raw, sub = (field.LABEL_OPTIONAL, field.LABEL_REPEATED, field.TYPE_STRING, field.TYPE_BYTES,
                                 field.TYPE_MESSAGE)
    message("Request", (3, one, text, "file_by_filename", None), (4, one, text, "file_containing_symbol", None),
            (7, one, text, "list_services", None))
    message("Files", (1, many, raw, "file_descriptor_proto", None))
    message("Service", (1, one, text, "name", None))
    message("Services", (1, many, sub, "service", ".t.Service"))
    message("Response", (4, one, sub, "files", ".t.Files"), (6, one, sub, "services", ".t.Services"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return [factory.GetPrototype(pool.FindMessageTypeByName(f"t.{name}")) for name in ("Request", "Response")]


class Reflected:
    """Messages and methods of a server that were not known before."""

    def __init__(self, channel):
        self.channel = channel
        self.request, self.response = reflection_messages()
        self.ask_stream = channel.stream_stream(REFLECTION, self.request.SerializeToString, self.response.FromString)
        self.pool = descriptor_pool.DescriptorPool()
        self.known = set()
        self.services = {s.name for s in self.ask(list_services="*").services.service}
        for name in sorted(self.services):
            if name.startswith("uaqf."):
                self.add(self.ask(file_containing_symbol=name))
        self.factory = message_factory.MessageFactory(self.pool)

    def ask(self, **fields):
        return next(iter(self.ask_stream(iter([self.request(**fields)]), timeout=10)))

    def add(self, response):
        """Adds the files of an answer to the pool, each after those that it imports."""
        for raw in response.files.file_descriptor_proto:
            file = descriptor_pb2.FileDescriptorProto.FromString(raw)
            if file.name in self.known:
                continue
            self.known.add(file.name)
            for name in file.dependency:
                if name not in self.known:
                    self.add(self.ask(file_by_filename=name))
            self.pool.Add(file)

    def message(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(f"uaqf.v1.{name}"))

    def call(self, service, method, request, **fields):
        """Calls a method by name; the kind of streaming comes from the descriptor too."""
        service_descriptor = self.pool.FindServiceByName(f"uaqf.v1.{service}")
        descriptor = service_descriptor.methods_by_name[method]
        proto = descriptor_pb2.MethodDescriptorProto()
        descriptor.CopyToProto(proto)
        shape = f"{'stream' if proto.client_streaming else 'unary'}_{'stream' if proto.server_streaming else 'unary'}"
        if descriptor.input_type.full_name == "google.protobuf.Empty":
            raise AssertionError(f"{method} takes nothing")
        output = descriptor.output_type
        parse = (empty_pb2.Empty if output.full_name == "google.protobuf.Empty"
                 else self.factory.GetPrototype(output)).FromString
        stub = getattr(self.channel, shape)(f"/uaqf.v1.{service}/{method}", lambda m: m.SerializeToString(), parse)
        return stub(request, timeout=60, **fields)


def expect_error(code, call):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, f"got {error.code()} ({error.details()}), expected {code}"
        return error
    raise AssertionError(f"got an answer, expected {code}")


def upload(api):
    part, batch, prompt = (api.message(n) for n in ("CreatePromptSetRequest", "PromptBatch", "Prompt"))
    header = api.message("PromptSetHeader")(display_name="from Python", kind=1)
    prompts = [prompt(id=f"p{k}", category="math" if k % 2 else "dialogue", text=f"What is {k} + {k}?")
               for k in range(6)]
    stored = api.call("EvaluationService", "CreatePromptSet",
                      iter([part(header=header), part(items=batch(prompts=prompts[:4])),
                            part(items=batch(prompts=prompts[4:]))]))
    assert stored.prompt_count == 6, stored
    assert [(c.category, c.prompt_count) for c in stored.categories] == [("dialogue", 3), ("math", 3)], stored
    return stored.name


def submit(api, prompt_set, request_id="python-1", repeats=2):
    spec = api.message("JobSpec")(model="null", variants=["fp16", "rtn-w4-g64"], prompt_set=prompt_set)
    spec.timing.repeats, spec.timing.max_output_tokens, spec.timing.block_prompts = repeats, 16, 3
    return api.call("EvaluationService", "CreateJob", api.message("CreateJobRequest")(request_id=request_id, spec=spec))


def wait_for_worker(api):
    for _ in range(200):
        if api.call("EvaluationService", "ListWorkers", api.message("ListWorkersRequest")()).workers:
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise AssertionError("no worker came in 10 s")


def drive(api):
    wait_for_worker(api)
    prompt_set = upload(api)
    job = submit(api, prompt_set)
    assert job.spec.timing.warmup_generations == 1, "defaults are filled in"
    assert job.spec.noise_floor and list(job.spec.variants) == ["fp16", "rtn-w4-g64"], job.spec
    assert submit(api, prompt_set).name == job.name, "the same request gives the same job"
    expect_error(grpc.StatusCode.ALREADY_EXISTS, lambda: submit(api, prompt_set, repeats=3))

    states = list(api.call("EvaluationService", "WatchJob", api.message("WatchJobRequest")(name=job.name)))
    last = states[-1]
    assert last.state == 3, f"got state {last.state}: {last.error}, expected SUCCEEDED"
    # 6 prompts, 2 variants: 12 generations, and 24 timings; 12 more of fp16, timed once more for the noise floor.
    assert last.progress.records_done == last.progress.records_total == 48, last.progress
    assert [v.variant for v in last.progress.variants] == ["fp16", "rtn-w4-g64", "fp16#2"], last.progress
    assert [s.progress.records_done for s in states] == sorted(s.progress.records_done for s in states)

    page = api.call("EvaluationService", "ListRecords", api.message("ListRecordsRequest")(job=job.name, kind=1))
    assert len(page.records) == 36 and page.records[0].prompt_id.startswith("p") and page.records[0].category, page
    streamed = sum(len(part.records) for part in
                   api.call("EvaluationService", "StreamRecords",
                            api.message("StreamRecordsRequest")(job=job.name, follow=True)))
    assert streamed == 48, streamed

    profile = api.message("Profile")(formula=3, normalization=2)
    profile.weights.speed = 0.5
    profile.weights.memory = 0.5
    ranked = api.call("RankingService", "RankVariants",
                      api.message("RankVariantsRequest")(job=job.name, inline_profile=profile))
    assert ranked.winner == ranked.variants[0].variant == "rtn-w4-g64", ranked
    assert ranked.variants[0].utility > ranked.variants[1].utility, ranked
    # One worker hosts one variant after the other; what it makes up is the same for both hostings of fp16.
    floor = ranked.noise_floor
    assert floor.pairs == 4 and not floor.separate_processes and not floor.differs and not floor.reason, floor
    assert len(ranked.variants) == 2 and floor.tokens_per_s.floor < 1e-9, ranked
    undecided = expect_error(grpc.StatusCode.FAILED_PRECONDITION, lambda: api.call(
        "RankingService", "RankVariants",
        api.message("RankVariantsRequest")(job=job.name, profile="profiles/accuracy-critical")))
    trailer = dict(undecided.trailing_metadata())["grpc-status-details-bin"]
    assert b"NOT_DECIDABLE" in trailer and b"google.rpc.ErrorInfo" in trailer, trailer


def check_bad_bytes(channel):
    """Text that is not UTF-8 is refused with words, and an upload that breaks off so is not taken for a whole one."""
    raw = channel.unary_unary("/uaqf.v1.EvaluationService/GetJob")
    error = expect_error(grpc.StatusCode.INVALID_ARGUMENT, lambda: raw(b"\x0a\x02\xff\xfe", timeout=10))
    assert "UTF-8" in error.details(), error.details()
    upload_raw = channel.stream_unary("/uaqf.v1.EvaluationService/CreatePromptSet")
    header = b"\x0a\x02\x10\x01"
    good = b"\x12\x08\x0a\x06\x0a\x01a\x1a\x01b"
    bad = b"\x12\x08\x0a\x06\x0a\x01c\x1a\x01\xff"
    error = expect_error(grpc.StatusCode.INVALID_ARGUMENT, lambda: upload_raw(iter([header, good, bad]), timeout=10))
    assert "UTF-8" in error.details(), error.details()


def main():
    with tempfile.TemporaryDirectory(prefix="uaqf-python-") as folder:
        server = subprocess.Popen(
            [BIN / "uaqf-server", "--insecure-dev", "--store", f"{folder}/uaqf.db", "--listen", "127.0.0.1:0",
             "--worker-listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        worker = None
        try:
            ports = json.loads(server.stdout.readline())
            worker = subprocess.Popen([BIN / "uaqf-null-worker", "--insecure-dev", "--server", ports["worker_listen"],
                                       "--worker-name", "python", "--device", folder.replace("/", "-")])
            with grpc.insecure_channel(ports["listen"]) as channel:
                api = Reflected(channel)
                assert {"uaqf.v1.EvaluationService", "uaqf.v1.RankingService"} <= api.services, api.services
                assert "uaqf.v1.WorkerService" not in api.services, "workers have a port of their own"
                drive(api)
                check_bad_bytes(channel)
            with grpc.insecure_channel(ports["worker_listen"]) as channel:
                expect_error(grpc.StatusCode.UNIMPLEMENTED, lambda: Reflected(channel))
        finally:
            for process in filter(None, (worker, server)):
                process.terminate()
                assert process.wait(20) == 0, f"{process.args[0]} ended with {process.returncode}"
    print("ok")


if __name__ == "__main__":
    main()
