"""AWS as moto has it, with its signatures and policies checked: a queue, a role that may send to it, and one that may not.

Prints where it is and the credentials of both as one line of JSON; then a line with all messages in the queue for each line that is read.
"""

import http.client
import json
import sys

import boto3
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"

server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()
ENDPOINT = f"http://{host}:{port}"


def client(service, keys=("admin", "admin")):
    return boto3.client(
        service,
        endpoint_url=ENDPOINT,
        region_name=REGION,
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
    )


def allow(action):
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(name, action):
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=allow(action))
    found = client("sts").assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]
    return [found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"]]


iam = client("iam")
url = client("sqs").create_queue(QueueName="telemetry")["QueueUrl"]
may, may_not = role("producer", "sqs:SendMessage"), role("other", "sqs:ReceiveMessage")
iam.create_user(UserName="reader")
iam.put_user_policy(UserName="reader", PolicyName="reader", PolicyDocument=allow("sqs:*"))
key = iam.create_access_key(UserName="reader")["AccessKey"]
reader = client("sqs", (key["AccessKeyId"], key["SecretAccessKey"]))

# From here on nobody gets in without the right.
connection = http.client.HTTPConnection(host, port)
connection.request("POST", "/moto-api/reset-auth", b"0")
assert connection.getresponse().status == 200
print(json.dumps({"endpoint": ENDPOINT, "may": may, "may_not": may_not}), flush=True)

for _ in sys.stdin:
    messages = []
    while True:
        some = reader.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        if not some.get("Messages"):
            break
        messages.extend(some["Messages"])
    print(json.dumps(messages), flush=True)
server.stop()
