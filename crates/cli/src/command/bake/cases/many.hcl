variable "TAG" {
  default = "latest"
}
variable "REPO" {}
variable "PUSH" { default = false }
variable "N" {
  type = number
  default = 3
  description = "a number"
  validation {
    condition = N > 1
    error_message = "N must be more than one"
  }
}
variable "LIST" {
  type = list(string)
  default = ["x", "y"]
}
function "tag" {
  params = [name]
  result = ["docker.io/me/${name}:${TAG}", notequal("", TAG) ? "${name}:${TAG}-x" : ""]
}
function "many" {
  params = [first]
  variadic_params = rest
  result = join("-", concat([first], rest))
}
group "default" {
  targets = ["app", "matrix"]
}
group "all" { targets = ["default", "other"] }
target "_common" {
  args = {
    GO = "1.22"
    NUM = N
    B = true
    NOTHING = null
  }
  labels = { "a.b" = "c" }
  platforms = ["linux/amd64"]
}
target "app" {
  inherits = ["_common"]
  context = "."
  dockerfile = "Dockerfile.app"
  tags = tag("app")
  args = {
    MODE = upper("fast")
    WHERE = many("a", "b", "c")
    F = formatdate("YYYY", "2020-01-02T00:00:00Z")
    R = regex_replace("hello", "l+", "L")
    J = jsonencode({a = 1, b = [true, null, "x"]})
  }
  secret = ["id=tok,src=docker-bake.hcl", { id = "two", env = "X" }]
  ssh = ["default"]
  cache-from = ["user/app:cache", { type = "local", src = "path" }]
  cache-to = ["type=inline"]
  output = [PUSH ? "type=registry" : "type=docker"]
  contexts = { base = "target:other", alpine = "docker-image://alpine:3.18" }
  no-cache = true
  pull = false
  shm-size = "128m"
  ulimits = ["nofile=1024:1024"]
  extra-hosts = { one = "10.0.0.1" }
  network = "none"
  entitlements = ["network.host"]
  attest = ["type=provenance,mode=max", "type=sbom"]
  annotations = ["manifest:a=b"]
  description = "the app"
  call = "build"
  no-cache-filter = ["x"]
}
target "other" {
  dockerfile-inline = <<EOT
FROM scratch
COPY a b
EOT
  target = "rel"
  args = { V = TAG == "latest" ? "l" : "n", S = "${TAG}-%{ if N > 2 }big%{ else }small%{ endif }" }
}
target "matrix" {
  name = "matrix-${tgt}-${replace(version, ".", "-")}"
  matrix = {
    tgt = ["lint", "test"]
    version = ["1.0", "2.0"]
  }
  target = tgt
  args = { VERSION = version }
  tags = [for t in LIST : "${tgt}:${t}"]
}
