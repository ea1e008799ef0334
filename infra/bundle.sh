#!/usr/bin/env bash
# Makes one Lambda bundle in ARTIFACTS_DIR, for `sam build`: infra/bundle.sh LOCK PACKAGE...
# LOCK says what is installed, for LAMBDA_PYTHON on Amazon Linux; of our packages only those named are kept.
set -euo pipefail
lock=$1
shift
bundle=${ARTIFACTS_DIR:?set by sam build}
# The first is for what runs its bundles on the machine that builds them: `make deploy-test` and the import benchmark.
python=${LOCAL_PYTHON:-${LAMBDA_PYTHON:-3.13}}
uv=.venv/bin/uv

# AWS runs older ones on Amazon Linux 2, whose C library (glibc 2.26) the wheels below do not load with.
if [[ -z ${LOCAL_PYTHON:-} && ! $python =~ ^3\.1[23]$ ]]; then
  echo "LAMBDA_PYTHON=$python: bundles are made for 3.12 and 3.13. No Python of that version has to be installed here." >&2
  exit 2
fi

"$uv" pip install --quiet --target "$bundle" --require-hashes --only-binary :all: \
  --python-version "$python" --python-platform x86_64-manylinux_2_28 --requirement "locks/$lock.lock"

# Our own code as its wheel, whose metadata tell the version.
wheels=$(mktemp -d)
trap 'rm -r "$wheels"' EXIT
.venv/bin/python -m hatchling build -t wheel -d "$wheels" >/dev/null
"$uv" pip install --quiet --target "$bundle" --python-version "$python" --no-deps "$wheels"/docrelay-*.whl
for package in docrelay api_service worker_service shared; do
  [[ " $* " == *" $package "* ]] || rm -r "${bundle:?}/$package"
done

# botocore describes 400 services, and a bundle may have 250 MB.
find "$bundle/botocore/data" -mindepth 1 -maxdepth 1 -type d \
  ! -name s3 ! -name sqs ! -name dynamodb ! -name secretsmanager ! -name ssm ! -name sts -exec rm -r {} +
rm -rf "$bundle/bin"

# At every route FastAPI looks for models of pydantic 1, for which it imports all of it. No route has one.
if [[ -d $bundle/fastapi ]]; then
  rm -r "$bundle/pydantic/v1"
  mkdir "$bundle/pydantic/v1"
  echo "class BaseModel: pass" >"$bundle/pydantic/v1/__init__.py"
fi

# What nobody has compiled every environment compiles anew when it starts. Unchecked: unpacking may change files' times.
if interpreter=$("$uv" python find --no-python-downloads "$python" 2>/dev/null); then
  "$interpreter" -m compileall -q -s "$bundle" -p /var/task --invalidation-mode unchecked-hash "$bundle"
else
  # `sam build` shows what make says, not what it complains of.
  echo "Not compiled: there is no Python $python here. Each start of this function will compile it anew."
fi
