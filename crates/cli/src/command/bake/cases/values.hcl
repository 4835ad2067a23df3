variable "A" { default = "a" }
variable "B" { default = "${A}-b" }
variable "DEP" { default = upper(B) }
C = "attr-${A}"
target "default" {
  args = {
    A = A, B = B, DEP = DEP, C = C, W = BAKE_CMD_CONTEXT, P = BAKE_LOCAL_PLATFORM
    E = env_none
  }
}
variable "env_none" { default = null }
target "x" {
  inherits = ["default"]
  name = item.name
  matrix = { item = [{ name = "one", v = "1" }, { name = "two", v = "2" }] }
  args = { V = item.v, MIX = target.default.args.A }
}
target "y" {
  args = merge({a = "1"}, {b = "2"})
  tags = distinct(compact(["a", "", "b", "a"]))
  labels = { for k, v in {p = "q", r = "s"} : k => upper(v) }
  contexts = { src = "./src", url = "https://github.com/x/y.git" }
  context = "https://github.com/x/y.git#main:sub"
  dockerfile = "../Dockerfile"
  output = ["type=local,dest=out", "./out2"]
  platforms = split(",", "linux/amd64,linux/arm64")
}
