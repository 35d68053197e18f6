// Loaded before the mock server: in what it answers, @token@ becomes the completion token that the request has.
const http = require("http");

const TOKEN = /rad-done-[0-9a-f]{20}/;

function teach(request, answer) {
  let token;
  const asked = [];
  request.on("data", (part) => asked.push(part));
  const told = (part) => {
    if (typeof part !== "string" && !Buffer.isBuffer(part)) return part;
    token ??= (TOKEN.exec(Buffer.concat(asked).toString()) ?? ["@token@"])[0];
    return part.toString().replaceAll("@token@", token);
  };
  for (const name of ["write", "end"]) {
    const plain = answer[name].bind(answer);
    answer[name] = (part, ...more) => plain(told(part), ...more);
  }
}

const emit = http.Server.prototype.emit;
http.Server.prototype.emit = function (name, ...about) {
  if (name === "request" && about[0].url.includes("/messages")) teach(...about);
  return emit.call(this, name, ...about);
};
