"""A gRPC server and a gRPC client without generated code: messages are bytes, and any method is served.

    peer.py serve             says its port, and then each call that it got, as a line of JSON
    peer.py call PORT NAME…   says what each call was answered, as a line of JSON

The messages of a call: its method's name, and bytes that no text has. A call of `Fail` ends with an error.
"""

import json
import os
import sys
import threading
from concurrent import futures

import grpc

SERVICE = "copy.test.Echo"
HOST = "grpc.example.com"
PATIENCE = 60


SAYING = threading.Lock()


def say(**line):
    # Calls are served side by side, and print writes a line and its end one by one.
    with SAYING:
        print(json.dumps(line), flush=True)


def message(name, number):
    return name.encode() + bytes(range(256)) * (1 + number * 40)


class Handlers(grpc.GenericRpcHandler):
    def service(self, call):
        fields = [[name, value if isinstance(value, str) else value.hex()] for name, value in call.invocation_metadata]

        def unary(request, context):
            say(method=call.method, fields=fields, request=request.hex(), left=context.time_remaining())
            if call.method.endswith("/Fail"):
                context.abort(grpc.StatusCode.NOT_FOUND, "no such thing")
            context.set_trailing_metadata((("x-trailer", "yes"),))
            return b"answer to " + request

        def stream(requests, context):
            together = [request.hex() for request in requests]
            say(method=call.method, fields=fields, requests=together)
            return b"%d messages" % len(together)

        if call.method.endswith("/Stream"):
            return grpc.stream_unary_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), handlers=[Handlers()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    say(port=port)
    # Whoever started it closes this.
    sys.stdin.read()
    server.stop(None)


def call(port, names):
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.default_authority", HOST)]) as channel:
        for number, name in enumerate(names):
            fields = (("x-request-id", str(number)), ("trace-bin", bytes([0, 255, number])))
            path = f"/{SERVICE}/{name}"
            try:
                if name == "Stream":
                    each = channel.stream_unary(path)
                    parts = iter([message(name, part) for part in range(3)])
                    answer, done = each.with_call(parts, metadata=fields, timeout=PATIENCE)
                else:
                    each = channel.unary_unary(path)
                    answer, done = each.with_call(message(name, number), metadata=fields, timeout=PATIENCE)
                say(name=name, code="OK", answer=answer.hex(), trailers=[list(pair) for pair in done.trailing_metadata()])
            except grpc.RpcError as error:
                say(name=name, code=error.code().name, details=error.details())


# A test that is killed leaves nobody to close its standard input: nothing serves for longer.
watchdog = threading.Timer(10 * 60, lambda: os._exit(1))
watchdog.daemon = True
watchdog.start()
if sys.argv[1] == "serve":
    serve()
else:
    call(int(sys.argv[2]), sys.argv[3:])
