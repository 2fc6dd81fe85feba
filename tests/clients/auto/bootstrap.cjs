// A Node runtime as Lambda's own is to its handler: loads it by name, so that instrumentation finds it, and hands it events.

"use strict";

const net = require("node:net");
const path = require("node:path");

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(":");
const [file, name] = process.env._HANDLER.split(".");
const handler = require(path.resolve(process.env.LAMBDA_TASK_ROOT, file))[name];

// Over a plain socket, as Lambda's runtime asks outside of Node's own HTTP, which would be traced.
function call(method, at, body = "") {
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(port), host);
    let text = "";
    socket.setEncoding("utf8").on("error", reject).on("data", (piece) => (text += piece));
    socket.on("end", () => {
      const end = text.indexOf("\r\n\r\n");
      const fields = text.slice(0, end).split("\r\n").slice(1).map((line) => line.split(/: */));
      const headers = Object.fromEntries(fields.map(([key, value]) => [key.toLowerCase(), value]));
      resolve({ headers, body: text.slice(end + 4) });
    });
    const head = `${method} /2018-06-01/runtime/invocation/${at} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n`;
    socket.write(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  });
}

(async () => {
  for (;;) {
    const next = await call("GET", "next");
    const awsRequestId = next.headers["lambda-runtime-aws-request-id"];
    process.env._X_AMZN_TRACE_ID = next.headers["lambda-runtime-trace-id"] ?? "";
    const context = {
      awsRequestId,
      invokedFunctionArn: next.headers["lambda-runtime-invoked-function-arn"],
      functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    };
    const result = await handler(JSON.parse(next.body), context);
    await call("POST", `${awsRequestId}/response`, JSON.stringify(result));
  }
})();
