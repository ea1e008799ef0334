#!/usr/bin/env bash
# For people who run LocalStack (or MiniStack) alone and mount this folder at /etc/localstack/init/ready.d:
# the bucket, the FIFO queue and its dead-letter queue that `docrelay bootstrap` creates, with the same attributes.
set -euo pipefail

bucket="${DOCRELAY_BUCKET:-docrelay-documents}"
queue="${DOCRELAY_QUEUE_NAME:-docrelay-jobs}"

awslocal s3api head-bucket --bucket "$bucket" 2>/dev/null || awslocal s3api create-bucket --bucket "$bucket"
awslocal s3api put-public-access-block --bucket "$bucket" --public-access-block-configuration \
  BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true

dead_url=$(awslocal sqs create-queue --queue-name "$queue-dead.fifo" --output text --query QueueUrl \
  --attributes FifoQueue=true,MessageRetentionPeriod=1209600)
dead_arn=$(awslocal sqs get-queue-attributes --queue-url "$dead_url" --attribute-names QueueArn \
  --output text --query Attributes.QueueArn)

# The redrive policy is JSON inside JSON. Attempts are counted in the store; 20 deliveries are only a safety net.
awslocal sqs create-queue --queue-name "$queue.fifo" --attributes "{
  \"FifoQueue\": \"true\",
  \"MessageRetentionPeriod\": \"345600\",
  \"RedrivePolicy\": \"{\\\"deadLetterTargetArn\\\": \\\"$dead_arn\\\", \\\"maxReceiveCount\\\": 20}\"
}"
