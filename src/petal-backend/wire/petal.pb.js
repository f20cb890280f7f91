// Generated from petal.proto by scripts/generate-wire.mjs.
/*eslint-disable block-scoped-var, id-length, no-control-regex, no-magic-numbers, no-mixed-operators, no-prototype-builtins, no-redeclare, no-shadow, no-var, sort-vars, default-case, jsdoc/require-param*/
import $protobuf from "protobufjs/minimal.js";

const $Reader = $protobuf.Reader, $Writer = $protobuf.Writer, $util = $protobuf.util;
const $Object = $util.global.Object, $undefined = $util.global.undefined, $Error = $util.global.Error, $RangeError = $util.global.RangeError;

const $root = $protobuf.roots["stordom-petal"] || ($protobuf.roots["stordom-petal"] = {});

export const stordom = $root.stordom = (() => {

    const stordom = {};

    stordom.petal = (function() {

        const petal = {};

        petal.Envelope = (function() {

            const Envelope = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Envelope.prototype.hello = null;
            Envelope.prototype.read = null;
            Envelope.prototype.write = null;
            Envelope.prototype.trim = null;
            Envelope.prototype.writeIf = null;
            Envelope.prototype.reply = null;
            Envelope.prototype.replicate = null;
            Envelope.prototype.replicated = null;
            Envelope.prototype.probe = null;
            Envelope.prototype.probed = null;
            Envelope.prototype.rejoin = null;
            Envelope.prototype.repair = null;
            Envelope.prototype.repaired = null;
            Envelope.prototype.fetch = null;
            Envelope.prototype.fetched = null;

            let $oneOfFields;

            $Object.defineProperty(Envelope.prototype, "message", {
                get: $util.oneOfGetter($oneOfFields = ["hello", "read", "write", "trim", "writeIf", "reply", "replicate", "replicated", "probe", "probed", "rejoin", "repair", "repaired", "fetch", "fetched"]),
                set: $util.oneOfSetter($oneOfFields)
            });

            Envelope.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                if (message.hello != null && $Object.hasOwnProperty.call(message, "hello"))
                    $root.stordom.petal.Hello.encode(message.hello, writer.uint32(10).fork(), _depth + 1).ldelim();
                if (message.read != null && $Object.hasOwnProperty.call(message, "read"))
                    $root.stordom.petal.Read.encode(message.read, writer.uint32(18).fork(), _depth + 1).ldelim();
                if (message.write != null && $Object.hasOwnProperty.call(message, "write"))
                    $root.stordom.petal.Write.encode(message.write, writer.uint32(26).fork(), _depth + 1).ldelim();
                if (message.trim != null && $Object.hasOwnProperty.call(message, "trim"))
                    $root.stordom.petal.Trim.encode(message.trim, writer.uint32(34).fork(), _depth + 1).ldelim();
                if (message.writeIf != null && $Object.hasOwnProperty.call(message, "writeIf"))
                    $root.stordom.petal.WriteIf.encode(message.writeIf, writer.uint32(42).fork(), _depth + 1).ldelim();
                if (message.reply != null && $Object.hasOwnProperty.call(message, "reply"))
                    $root.stordom.petal.Reply.encode(message.reply, writer.uint32(50).fork(), _depth + 1).ldelim();
                if (message.replicate != null && $Object.hasOwnProperty.call(message, "replicate"))
                    $root.stordom.petal.Replicate.encode(message.replicate, writer.uint32(58).fork(), _depth + 1).ldelim();
                if (message.replicated != null && $Object.hasOwnProperty.call(message, "replicated"))
                    $root.stordom.petal.Replicated.encode(message.replicated, writer.uint32(66).fork(), _depth + 1).ldelim();
                if (message.probe != null && $Object.hasOwnProperty.call(message, "probe"))
                    $root.stordom.petal.Probe.encode(message.probe, writer.uint32(74).fork(), _depth + 1).ldelim();
                if (message.probed != null && $Object.hasOwnProperty.call(message, "probed"))
                    $root.stordom.petal.Probed.encode(message.probed, writer.uint32(82).fork(), _depth + 1).ldelim();
                if (message.rejoin != null && $Object.hasOwnProperty.call(message, "rejoin"))
                    $root.stordom.petal.Rejoin.encode(message.rejoin, writer.uint32(90).fork(), _depth + 1).ldelim();
                if (message.repair != null && $Object.hasOwnProperty.call(message, "repair"))
                    $root.stordom.petal.Repair.encode(message.repair, writer.uint32(98).fork(), _depth + 1).ldelim();
                if (message.repaired != null && $Object.hasOwnProperty.call(message, "repaired"))
                    $root.stordom.petal.Repaired.encode(message.repaired, writer.uint32(106).fork(), _depth + 1).ldelim();
                if (message.fetch != null && $Object.hasOwnProperty.call(message, "fetch"))
                    $root.stordom.petal.Fetch.encode(message.fetch, writer.uint32(114).fork(), _depth + 1).ldelim();
                if (message.fetched != null && $Object.hasOwnProperty.call(message, "fetched"))
                    $root.stordom.petal.Fetched.encode(message.fetched, writer.uint32(122).fork(), _depth + 1).ldelim();
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Envelope.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Envelope();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 2)
                                break;
                            message.hello = $root.stordom.petal.Hello.decode(reader, reader.size(), $undefined, _depth + 1, message.hello);
                            message.message = "hello";
                            continue;
                        }
                    case 2: {
                            if (wireType !== 2)
                                break;
                            message.read = $root.stordom.petal.Read.decode(reader, reader.size(), $undefined, _depth + 1, message.read);
                            message.message = "read";
                            continue;
                        }
                    case 3: {
                            if (wireType !== 2)
                                break;
                            message.write = $root.stordom.petal.Write.decode(reader, reader.size(), $undefined, _depth + 1, message.write);
                            message.message = "write";
                            continue;
                        }
                    case 4: {
                            if (wireType !== 2)
                                break;
                            message.trim = $root.stordom.petal.Trim.decode(reader, reader.size(), $undefined, _depth + 1, message.trim);
                            message.message = "trim";
                            continue;
                        }
                    case 5: {
                            if (wireType !== 2)
                                break;
                            message.writeIf = $root.stordom.petal.WriteIf.decode(reader, reader.size(), $undefined, _depth + 1, message.writeIf);
                            message.message = "writeIf";
                            continue;
                        }
                    case 6: {
                            if (wireType !== 2)
                                break;
                            message.reply = $root.stordom.petal.Reply.decode(reader, reader.size(), $undefined, _depth + 1, message.reply);
                            message.message = "reply";
                            continue;
                        }
                    case 7: {
                            if (wireType !== 2)
                                break;
                            message.replicate = $root.stordom.petal.Replicate.decode(reader, reader.size(), $undefined, _depth + 1, message.replicate);
                            message.message = "replicate";
                            continue;
                        }
                    case 8: {
                            if (wireType !== 2)
                                break;
                            message.replicated = $root.stordom.petal.Replicated.decode(reader, reader.size(), $undefined, _depth + 1, message.replicated);
                            message.message = "replicated";
                            continue;
                        }
                    case 9: {
                            if (wireType !== 2)
                                break;
                            message.probe = $root.stordom.petal.Probe.decode(reader, reader.size(), $undefined, _depth + 1, message.probe);
                            message.message = "probe";
                            continue;
                        }
                    case 10: {
                            if (wireType !== 2)
                                break;
                            message.probed = $root.stordom.petal.Probed.decode(reader, reader.size(), $undefined, _depth + 1, message.probed);
                            message.message = "probed";
                            continue;
                        }
                    case 11: {
                            if (wireType !== 2)
                                break;
                            message.rejoin = $root.stordom.petal.Rejoin.decode(reader, reader.size(), $undefined, _depth + 1, message.rejoin);
                            message.message = "rejoin";
                            continue;
                        }
                    case 12: {
                            if (wireType !== 2)
                                break;
                            message.repair = $root.stordom.petal.Repair.decode(reader, reader.size(), $undefined, _depth + 1, message.repair);
                            message.message = "repair";
                            continue;
                        }
                    case 13: {
                            if (wireType !== 2)
                                break;
                            message.repaired = $root.stordom.petal.Repaired.decode(reader, reader.size(), $undefined, _depth + 1, message.repaired);
                            message.message = "repaired";
                            continue;
                        }
                    case 14: {
                            if (wireType !== 2)
                                break;
                            message.fetch = $root.stordom.petal.Fetch.decode(reader, reader.size(), $undefined, _depth + 1, message.fetch);
                            message.message = "fetch";
                            continue;
                        }
                    case 15: {
                            if (wireType !== 2)
                                break;
                            message.fetched = $root.stordom.petal.Fetched.decode(reader, reader.size(), $undefined, _depth + 1, message.fetched);
                            message.message = "fetched";
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                return message;
            };

            return Envelope;
        })();

        petal.Hello = (function() {

            const Hello = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Hello.prototype.protocol = 0;
            Hello.prototype.pool = $util.newBuffer([]);
            Hello.prototype.from = "";
            Hello.prototype.isServer = false;
            Hello.prototype.incarnation = 0;

            Hello.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(192).uint32(message.incarnation);
                writer.uint32(224).uint32(message.protocol);
                writer.uint32(234).bytes(message.pool);
                writer.uint32(242).string(message.from);
                writer.uint32(248).bool(message.isServer);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Hello.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Hello();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 28: {
                            if (wireType !== 0)
                                break;
                            message.protocol = reader.uint32();
                            continue;
                        }
                    case 29: {
                            if (wireType !== 2)
                                break;
                            message.pool = reader.bytes();
                            continue;
                        }
                    case 30: {
                            if (wireType !== 2)
                                break;
                            message.from = reader.string();
                            continue;
                        }
                    case 31: {
                            if (wireType !== 0)
                                break;
                            message.isServer = reader.bool();
                            continue;
                        }
                    case 24: {
                            if (wireType !== 0)
                                break;
                            message.incarnation = reader.uint32();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "protocol"))
                    throw $util.ProtocolError("missing required 'protocol'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "pool"))
                    throw $util.ProtocolError("missing required 'pool'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "from"))
                    throw $util.ProtocolError("missing required 'from'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "isServer"))
                    throw $util.ProtocolError("missing required 'isServer'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "incarnation"))
                    throw $util.ProtocolError("missing required 'incarnation'", { instance: message });
                return message;
            };

            return Hello;
        })();

        petal.Read = (function() {

            const Read = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Read.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Read.prototype.gmap = 0;
            Read.prototype.group = 0;
            Read.prototype.term = 0;
            Read.prototype.vdisk = 0;
            Read.prototype.epoch = 0;
            Read.prototype.block = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Read.prototype.blocks = 0;
            Read.prototype.session = 0;
            Read.prototype.fence = 0;
            Read.prototype.mapVersion = 0;
            Read.prototype.conditional = false;

            Read.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(40).uint32(message.vdisk);
                writer.uint32(48).uint32(message.epoch);
                writer.uint32(56).uint64(message.block);
                writer.uint32(64).uint32(message.blocks);
                writer.uint32(72).uint32(message.session);
                writer.uint32(80).uint32(message.fence);
                writer.uint32(88).uint32(message.mapVersion);
                writer.uint32(152).bool(message.conditional);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Read.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Read();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.vdisk = reader.uint32();
                            continue;
                        }
                    case 6: {
                            if (wireType !== 0)
                                break;
                            message.epoch = reader.uint32();
                            continue;
                        }
                    case 7: {
                            if (wireType !== 0)
                                break;
                            message.block = reader.uint64();
                            continue;
                        }
                    case 8: {
                            if (wireType !== 0)
                                break;
                            message.blocks = reader.uint32();
                            continue;
                        }
                    case 9: {
                            if (wireType !== 0)
                                break;
                            message.session = reader.uint32();
                            continue;
                        }
                    case 10: {
                            if (wireType !== 0)
                                break;
                            message.fence = reader.uint32();
                            continue;
                        }
                    case 11: {
                            if (wireType !== 0)
                                break;
                            message.mapVersion = reader.uint32();
                            continue;
                        }
                    case 19: {
                            if (wireType !== 0)
                                break;
                            message.conditional = reader.bool();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "vdisk"))
                    throw $util.ProtocolError("missing required 'vdisk'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "epoch"))
                    throw $util.ProtocolError("missing required 'epoch'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "block"))
                    throw $util.ProtocolError("missing required 'block'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "blocks"))
                    throw $util.ProtocolError("missing required 'blocks'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "session"))
                    throw $util.ProtocolError("missing required 'session'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "fence"))
                    throw $util.ProtocolError("missing required 'fence'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "mapVersion"))
                    throw $util.ProtocolError("missing required 'mapVersion'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "conditional"))
                    throw $util.ProtocolError("missing required 'conditional'", { instance: message });
                return message;
            };

            return Read;
        })();

        petal.Write = (function() {

            const Write = function (properties) {
                this.crcs = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Write.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Write.prototype.gmap = 0;
            Write.prototype.group = 0;
            Write.prototype.term = 0;
            Write.prototype.vdisk = 0;
            Write.prototype.epoch = 0;
            Write.prototype.block = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Write.prototype.blocks = 0;
            Write.prototype.session = 0;
            Write.prototype.fence = 0;
            Write.prototype.mapVersion = 0;
            Write.prototype.seq = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Write.prototype.crcs = $util.emptyArray;

            Write.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(40).uint32(message.vdisk);
                writer.uint32(48).uint32(message.epoch);
                writer.uint32(56).uint64(message.block);
                writer.uint32(64).uint32(message.blocks);
                writer.uint32(72).uint32(message.session);
                writer.uint32(80).uint32(message.fence);
                writer.uint32(88).uint32(message.mapVersion);
                writer.uint32(96).uint64(message.seq);
                if (message.crcs != null && message.crcs.length)
                    writer.uint32(106).fixed32s(message.crcs);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Write.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Write();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.vdisk = reader.uint32();
                            continue;
                        }
                    case 6: {
                            if (wireType !== 0)
                                break;
                            message.epoch = reader.uint32();
                            continue;
                        }
                    case 7: {
                            if (wireType !== 0)
                                break;
                            message.block = reader.uint64();
                            continue;
                        }
                    case 8: {
                            if (wireType !== 0)
                                break;
                            message.blocks = reader.uint32();
                            continue;
                        }
                    case 9: {
                            if (wireType !== 0)
                                break;
                            message.session = reader.uint32();
                            continue;
                        }
                    case 10: {
                            if (wireType !== 0)
                                break;
                            message.fence = reader.uint32();
                            continue;
                        }
                    case 11: {
                            if (wireType !== 0)
                                break;
                            message.mapVersion = reader.uint32();
                            continue;
                        }
                    case 12: {
                            if (wireType !== 0)
                                break;
                            message.seq = reader.uint64();
                            continue;
                        }
                    case 13: {
                            if (wireType === 2) {
                                if (!(message.crcs && message.crcs.length))
                                    message.crcs = [];
                                reader.fixed32s(message.crcs);
                                continue;
                            }
                            if (wireType !== 5)
                                break;
                            if (!(message.crcs && message.crcs.length))
                                message.crcs = [];
                            message.crcs.push(reader.fixed32());
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "vdisk"))
                    throw $util.ProtocolError("missing required 'vdisk'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "epoch"))
                    throw $util.ProtocolError("missing required 'epoch'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "block"))
                    throw $util.ProtocolError("missing required 'block'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "blocks"))
                    throw $util.ProtocolError("missing required 'blocks'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "session"))
                    throw $util.ProtocolError("missing required 'session'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "fence"))
                    throw $util.ProtocolError("missing required 'fence'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "mapVersion"))
                    throw $util.ProtocolError("missing required 'mapVersion'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "seq"))
                    throw $util.ProtocolError("missing required 'seq'", { instance: message });
                return message;
            };

            return Write;
        })();

        petal.Trim = (function() {

            const Trim = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Trim.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Trim.prototype.gmap = 0;
            Trim.prototype.group = 0;
            Trim.prototype.term = 0;
            Trim.prototype.vdisk = 0;
            Trim.prototype.epoch = 0;
            Trim.prototype.block = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Trim.prototype.blocks = 0;
            Trim.prototype.session = 0;
            Trim.prototype.fence = 0;
            Trim.prototype.mapVersion = 0;
            Trim.prototype.seq = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

            Trim.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(40).uint32(message.vdisk);
                writer.uint32(48).uint32(message.epoch);
                writer.uint32(56).uint64(message.block);
                writer.uint32(64).uint32(message.blocks);
                writer.uint32(72).uint32(message.session);
                writer.uint32(80).uint32(message.fence);
                writer.uint32(88).uint32(message.mapVersion);
                writer.uint32(96).uint64(message.seq);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Trim.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Trim();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.vdisk = reader.uint32();
                            continue;
                        }
                    case 6: {
                            if (wireType !== 0)
                                break;
                            message.epoch = reader.uint32();
                            continue;
                        }
                    case 7: {
                            if (wireType !== 0)
                                break;
                            message.block = reader.uint64();
                            continue;
                        }
                    case 8: {
                            if (wireType !== 0)
                                break;
                            message.blocks = reader.uint32();
                            continue;
                        }
                    case 9: {
                            if (wireType !== 0)
                                break;
                            message.session = reader.uint32();
                            continue;
                        }
                    case 10: {
                            if (wireType !== 0)
                                break;
                            message.fence = reader.uint32();
                            continue;
                        }
                    case 11: {
                            if (wireType !== 0)
                                break;
                            message.mapVersion = reader.uint32();
                            continue;
                        }
                    case 12: {
                            if (wireType !== 0)
                                break;
                            message.seq = reader.uint64();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "vdisk"))
                    throw $util.ProtocolError("missing required 'vdisk'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "epoch"))
                    throw $util.ProtocolError("missing required 'epoch'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "block"))
                    throw $util.ProtocolError("missing required 'block'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "blocks"))
                    throw $util.ProtocolError("missing required 'blocks'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "session"))
                    throw $util.ProtocolError("missing required 'session'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "fence"))
                    throw $util.ProtocolError("missing required 'fence'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "mapVersion"))
                    throw $util.ProtocolError("missing required 'mapVersion'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "seq"))
                    throw $util.ProtocolError("missing required 'seq'", { instance: message });
                return message;
            };

            return Trim;
        })();

        petal.WriteIf = (function() {

            const WriteIf = function (properties) {
                this.crcs = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            WriteIf.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            WriteIf.prototype.gmap = 0;
            WriteIf.prototype.group = 0;
            WriteIf.prototype.term = 0;
            WriteIf.prototype.vdisk = 0;
            WriteIf.prototype.epoch = 0;
            WriteIf.prototype.block = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            WriteIf.prototype.blocks = 0;
            WriteIf.prototype.session = 0;
            WriteIf.prototype.fence = 0;
            WriteIf.prototype.mapVersion = 0;
            WriteIf.prototype.seq = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            WriteIf.prototype.crcs = $util.emptyArray;
            WriteIf.prototype.expectedVersion = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

            WriteIf.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(40).uint32(message.vdisk);
                writer.uint32(48).uint32(message.epoch);
                writer.uint32(56).uint64(message.block);
                writer.uint32(64).uint32(message.blocks);
                writer.uint32(72).uint32(message.session);
                writer.uint32(80).uint32(message.fence);
                writer.uint32(88).uint32(message.mapVersion);
                writer.uint32(96).uint64(message.seq);
                if (message.crcs != null && message.crcs.length)
                    writer.uint32(106).fixed32s(message.crcs);
                writer.uint32(144).uint64(message.expectedVersion);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            WriteIf.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.WriteIf();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.vdisk = reader.uint32();
                            continue;
                        }
                    case 6: {
                            if (wireType !== 0)
                                break;
                            message.epoch = reader.uint32();
                            continue;
                        }
                    case 7: {
                            if (wireType !== 0)
                                break;
                            message.block = reader.uint64();
                            continue;
                        }
                    case 8: {
                            if (wireType !== 0)
                                break;
                            message.blocks = reader.uint32();
                            continue;
                        }
                    case 9: {
                            if (wireType !== 0)
                                break;
                            message.session = reader.uint32();
                            continue;
                        }
                    case 10: {
                            if (wireType !== 0)
                                break;
                            message.fence = reader.uint32();
                            continue;
                        }
                    case 11: {
                            if (wireType !== 0)
                                break;
                            message.mapVersion = reader.uint32();
                            continue;
                        }
                    case 12: {
                            if (wireType !== 0)
                                break;
                            message.seq = reader.uint64();
                            continue;
                        }
                    case 13: {
                            if (wireType === 2) {
                                if (!(message.crcs && message.crcs.length))
                                    message.crcs = [];
                                reader.fixed32s(message.crcs);
                                continue;
                            }
                            if (wireType !== 5)
                                break;
                            if (!(message.crcs && message.crcs.length))
                                message.crcs = [];
                            message.crcs.push(reader.fixed32());
                            continue;
                        }
                    case 18: {
                            if (wireType !== 0)
                                break;
                            message.expectedVersion = reader.uint64();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "vdisk"))
                    throw $util.ProtocolError("missing required 'vdisk'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "epoch"))
                    throw $util.ProtocolError("missing required 'epoch'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "block"))
                    throw $util.ProtocolError("missing required 'block'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "blocks"))
                    throw $util.ProtocolError("missing required 'blocks'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "session"))
                    throw $util.ProtocolError("missing required 'session'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "fence"))
                    throw $util.ProtocolError("missing required 'fence'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "mapVersion"))
                    throw $util.ProtocolError("missing required 'mapVersion'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "seq"))
                    throw $util.ProtocolError("missing required 'seq'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "expectedVersion"))
                    throw $util.ProtocolError("missing required 'expectedVersion'", { instance: message });
                return message;
            };

            return WriteIf;
        })();

        petal.Reply = (function() {

            const Reply = function (properties) {
                this.crcs = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Reply.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Reply.prototype.term = 0;
            Reply.prototype.crcs = $util.emptyArray;
            Reply.prototype.status = 0;
            Reply.prototype.primary = 0;
            Reply.prototype.queue = 0;
            Reply.prototype.version = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

            Reply.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(32).uint32(message.term);
                if (message.crcs != null && message.crcs.length)
                    writer.uint32(106).fixed32s(message.crcs);
                writer.uint32(160).sint32(message.status);
                writer.uint32(168).uint32(message.primary);
                writer.uint32(176).uint32(message.queue);
                writer.uint32(184).uint64(message.version);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Reply.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Reply();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 13: {
                            if (wireType === 2) {
                                if (!(message.crcs && message.crcs.length))
                                    message.crcs = [];
                                reader.fixed32s(message.crcs);
                                continue;
                            }
                            if (wireType !== 5)
                                break;
                            if (!(message.crcs && message.crcs.length))
                                message.crcs = [];
                            message.crcs.push(reader.fixed32());
                            continue;
                        }
                    case 20: {
                            if (wireType !== 0)
                                break;
                            message.status = reader.sint32();
                            continue;
                        }
                    case 21: {
                            if (wireType !== 0)
                                break;
                            message.primary = reader.uint32();
                            continue;
                        }
                    case 22: {
                            if (wireType !== 0)
                                break;
                            message.queue = reader.uint32();
                            continue;
                        }
                    case 23: {
                            if (wireType !== 0)
                                break;
                            message.version = reader.uint64();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "status"))
                    throw $util.ProtocolError("missing required 'status'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "primary"))
                    throw $util.ProtocolError("missing required 'primary'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "queue"))
                    throw $util.ProtocolError("missing required 'queue'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "version"))
                    throw $util.ProtocolError("missing required 'version'", { instance: message });
                return message;
            };

            return Reply;
        })();

        petal.Replicate = (function() {

            const Replicate = function (properties) {
                this.crcs = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Replicate.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Replicate.prototype.gmap = 0;
            Replicate.prototype.group = 0;
            Replicate.prototype.term = 0;
            Replicate.prototype.vdisk = 0;
            Replicate.prototype.epoch = 0;
            Replicate.prototype.block = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Replicate.prototype.blocks = 0;
            Replicate.prototype.session = 0;
            Replicate.prototype.seq = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Replicate.prototype.crcs = $util.emptyArray;
            Replicate.prototype.version = null;
            Replicate.prototype.committed = null;
            Replicate.prototype.op = 0;
            Replicate.prototype.conditionalVersion = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

            Replicate.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(40).uint32(message.vdisk);
                writer.uint32(48).uint32(message.epoch);
                writer.uint32(56).uint64(message.block);
                writer.uint32(64).uint32(message.blocks);
                writer.uint32(72).uint32(message.session);
                writer.uint32(96).uint64(message.seq);
                if (message.crcs != null && message.crcs.length)
                    writer.uint32(106).fixed32s(message.crcs);
                $root.stordom.petal.BlockVersion.encode(message.version, writer.uint32(114).fork(), _depth + 1).ldelim();
                $root.stordom.petal.BlockVersion.encode(message.committed, writer.uint32(122).fork(), _depth + 1).ldelim();
                writer.uint32(128).uint32(message.op);
                writer.uint32(136).uint64(message.conditionalVersion);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Replicate.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Replicate();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.vdisk = reader.uint32();
                            continue;
                        }
                    case 6: {
                            if (wireType !== 0)
                                break;
                            message.epoch = reader.uint32();
                            continue;
                        }
                    case 7: {
                            if (wireType !== 0)
                                break;
                            message.block = reader.uint64();
                            continue;
                        }
                    case 8: {
                            if (wireType !== 0)
                                break;
                            message.blocks = reader.uint32();
                            continue;
                        }
                    case 9: {
                            if (wireType !== 0)
                                break;
                            message.session = reader.uint32();
                            continue;
                        }
                    case 12: {
                            if (wireType !== 0)
                                break;
                            message.seq = reader.uint64();
                            continue;
                        }
                    case 13: {
                            if (wireType === 2) {
                                if (!(message.crcs && message.crcs.length))
                                    message.crcs = [];
                                reader.fixed32s(message.crcs);
                                continue;
                            }
                            if (wireType !== 5)
                                break;
                            if (!(message.crcs && message.crcs.length))
                                message.crcs = [];
                            message.crcs.push(reader.fixed32());
                            continue;
                        }
                    case 14: {
                            if (wireType !== 2)
                                break;
                            message.version = $root.stordom.petal.BlockVersion.decode(reader, reader.size(), $undefined, _depth + 1, message.version);
                            continue;
                        }
                    case 15: {
                            if (wireType !== 2)
                                break;
                            message.committed = $root.stordom.petal.BlockVersion.decode(reader, reader.size(), $undefined, _depth + 1, message.committed);
                            continue;
                        }
                    case 16: {
                            if (wireType !== 0)
                                break;
                            message.op = reader.uint32();
                            continue;
                        }
                    case 17: {
                            if (wireType !== 0)
                                break;
                            message.conditionalVersion = reader.uint64();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "vdisk"))
                    throw $util.ProtocolError("missing required 'vdisk'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "epoch"))
                    throw $util.ProtocolError("missing required 'epoch'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "block"))
                    throw $util.ProtocolError("missing required 'block'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "blocks"))
                    throw $util.ProtocolError("missing required 'blocks'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "session"))
                    throw $util.ProtocolError("missing required 'session'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "seq"))
                    throw $util.ProtocolError("missing required 'seq'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "version"))
                    throw $util.ProtocolError("missing required 'version'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "committed"))
                    throw $util.ProtocolError("missing required 'committed'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "op"))
                    throw $util.ProtocolError("missing required 'op'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "conditionalVersion"))
                    throw $util.ProtocolError("missing required 'conditionalVersion'", { instance: message });
                return message;
            };

            return Replicate;
        })();

        petal.Replicated = (function() {

            const Replicated = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Replicated.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Replicated.prototype.gmap = 0;
            Replicated.prototype.group = 0;
            Replicated.prototype.term = 0;
            Replicated.prototype.status = 0;

            Replicated.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(160).sint32(message.status);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Replicated.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Replicated();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 20: {
                            if (wireType !== 0)
                                break;
                            message.status = reader.sint32();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "status"))
                    throw $util.ProtocolError("missing required 'status'", { instance: message });
                return message;
            };

            return Replicated;
        })();

        petal.Probe = (function() {

            const Probe = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Probe.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Probe.prototype.gmap = 0;
            Probe.prototype.group = 0;
            Probe.prototype.term = 0;
            Probe.prototype.committed = null;
            Probe.prototype.wantsDirty = false;
            Probe.prototype.after = null;

            Probe.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                $root.stordom.petal.BlockVersion.encode(message.committed, writer.uint32(122).fork(), _depth + 1).ldelim();
                writer.uint32(288).bool(message.wantsDirty);
                $root.stordom.petal.DirtyBlock.encode(message.after, writer.uint32(298).fork(), _depth + 1).ldelim();
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Probe.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Probe();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 15: {
                            if (wireType !== 2)
                                break;
                            message.committed = $root.stordom.petal.BlockVersion.decode(reader, reader.size(), $undefined, _depth + 1, message.committed);
                            continue;
                        }
                    case 36: {
                            if (wireType !== 0)
                                break;
                            message.wantsDirty = reader.bool();
                            continue;
                        }
                    case 37: {
                            if (wireType !== 2)
                                break;
                            message.after = $root.stordom.petal.DirtyBlock.decode(reader, reader.size(), $undefined, _depth + 1, message.after);
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "committed"))
                    throw $util.ProtocolError("missing required 'committed'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "wantsDirty"))
                    throw $util.ProtocolError("missing required 'wantsDirty'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "after"))
                    throw $util.ProtocolError("missing required 'after'", { instance: message });
                return message;
            };

            return Probe;
        })();

        petal.Probed = (function() {

            const Probed = function (properties) {
                this.dirty = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Probed.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Probed.prototype.gmap = 0;
            Probed.prototype.group = 0;
            Probed.prototype.term = 0;
            Probed.prototype.incarnation = 0;
            Probed.prototype.dirty = $util.emptyArray;

            Probed.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(192).uint32(message.incarnation);
                if (message.dirty != null && message.dirty.length)
                    for (let i = 0; i < message.dirty.length; ++i)
                        $root.stordom.petal.DirtyBlock.encode(message.dirty[i], writer.uint32(210).fork(), _depth + 1).ldelim();
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Probed.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Probed();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 24: {
                            if (wireType !== 0)
                                break;
                            message.incarnation = reader.uint32();
                            continue;
                        }
                    case 26: {
                            if (wireType !== 2)
                                break;
                            if (!(message.dirty && message.dirty.length))
                                message.dirty = [];
                            message.dirty.push($root.stordom.petal.DirtyBlock.decode(reader, reader.size(), $undefined, _depth + 1));
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "incarnation"))
                    throw $util.ProtocolError("missing required 'incarnation'", { instance: message });
                return message;
            };

            return Probed;
        })();

        petal.DirtyBlock = (function() {

            const DirtyBlock = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            DirtyBlock.prototype.vdisk = 0;
            DirtyBlock.prototype.epoch = 0;
            DirtyBlock.prototype.block = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

            DirtyBlock.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(40).uint32(message.vdisk);
                writer.uint32(48).uint32(message.epoch);
                writer.uint32(56).uint64(message.block);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            DirtyBlock.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.DirtyBlock();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.vdisk = reader.uint32();
                            continue;
                        }
                    case 6: {
                            if (wireType !== 0)
                                break;
                            message.epoch = reader.uint32();
                            continue;
                        }
                    case 7: {
                            if (wireType !== 0)
                                break;
                            message.block = reader.uint64();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "vdisk"))
                    throw $util.ProtocolError("missing required 'vdisk'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "epoch"))
                    throw $util.ProtocolError("missing required 'epoch'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "block"))
                    throw $util.ProtocolError("missing required 'block'", { instance: message });
                return message;
            };

            return DirtyBlock;
        })();

        petal.Rejoin = (function() {

            const Rejoin = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Rejoin.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Rejoin.prototype.gmap = 0;
            Rejoin.prototype.group = 0;
            Rejoin.prototype.term = 0;
            Rejoin.prototype.incarnation = 0;
            Rejoin.prototype.lastTerm = 0;

            Rejoin.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(192).uint32(message.incarnation);
                writer.uint32(200).uint32(message.lastTerm);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Rejoin.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Rejoin();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 24: {
                            if (wireType !== 0)
                                break;
                            message.incarnation = reader.uint32();
                            continue;
                        }
                    case 25: {
                            if (wireType !== 0)
                                break;
                            message.lastTerm = reader.uint32();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "incarnation"))
                    throw $util.ProtocolError("missing required 'incarnation'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "lastTerm"))
                    throw $util.ProtocolError("missing required 'lastTerm'", { instance: message });
                return message;
            };

            return Rejoin;
        })();

        petal.BlockVersion = (function() {

            const BlockVersion = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            BlockVersion.prototype.term = 0;
            BlockVersion.prototype.n = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

            BlockVersion.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(32).uint32(message.term);
                writer.uint32(256).uint64(message.n);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            BlockVersion.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.BlockVersion();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 32: {
                            if (wireType !== 0)
                                break;
                            message.n = reader.uint64();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "n"))
                    throw $util.ProtocolError("missing required 'n'", { instance: message });
                return message;
            };

            return BlockVersion;
        })();

        petal.RepairBlock = (function() {

            const RepairBlock = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            RepairBlock.prototype.block = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            RepairBlock.prototype.session = 0;
            RepairBlock.prototype.seq = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            RepairBlock.prototype.version = null;
            RepairBlock.prototype.conditionalVersion = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            RepairBlock.prototype.crc = 0;
            RepairBlock.prototype.hasData = false;
            RepairBlock.prototype.force = false;
            RepairBlock.prototype.isLost = false;

            RepairBlock.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(56).uint64(message.block);
                writer.uint32(72).uint32(message.session);
                writer.uint32(96).uint64(message.seq);
                $root.stordom.petal.BlockVersion.encode(message.version, writer.uint32(114).fork(), _depth + 1).ldelim();
                writer.uint32(136).uint64(message.conditionalVersion);
                writer.uint32(269).fixed32(message.crc);
                writer.uint32(272).bool(message.hasData);
                writer.uint32(280).bool(message.force);
                writer.uint32(304).bool(message.isLost);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            RepairBlock.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.RepairBlock();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 7: {
                            if (wireType !== 0)
                                break;
                            message.block = reader.uint64();
                            continue;
                        }
                    case 9: {
                            if (wireType !== 0)
                                break;
                            message.session = reader.uint32();
                            continue;
                        }
                    case 12: {
                            if (wireType !== 0)
                                break;
                            message.seq = reader.uint64();
                            continue;
                        }
                    case 14: {
                            if (wireType !== 2)
                                break;
                            message.version = $root.stordom.petal.BlockVersion.decode(reader, reader.size(), $undefined, _depth + 1, message.version);
                            continue;
                        }
                    case 17: {
                            if (wireType !== 0)
                                break;
                            message.conditionalVersion = reader.uint64();
                            continue;
                        }
                    case 33: {
                            if (wireType !== 5)
                                break;
                            message.crc = reader.fixed32();
                            continue;
                        }
                    case 34: {
                            if (wireType !== 0)
                                break;
                            message.hasData = reader.bool();
                            continue;
                        }
                    case 35: {
                            if (wireType !== 0)
                                break;
                            message.force = reader.bool();
                            continue;
                        }
                    case 38: {
                            if (wireType !== 0)
                                break;
                            message.isLost = reader.bool();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "block"))
                    throw $util.ProtocolError("missing required 'block'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "session"))
                    throw $util.ProtocolError("missing required 'session'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "seq"))
                    throw $util.ProtocolError("missing required 'seq'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "version"))
                    throw $util.ProtocolError("missing required 'version'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "conditionalVersion"))
                    throw $util.ProtocolError("missing required 'conditionalVersion'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "crc"))
                    throw $util.ProtocolError("missing required 'crc'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "hasData"))
                    throw $util.ProtocolError("missing required 'hasData'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "force"))
                    throw $util.ProtocolError("missing required 'force'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "isLost"))
                    throw $util.ProtocolError("missing required 'isLost'", { instance: message });
                return message;
            };

            return RepairBlock;
        })();

        petal.Repair = (function() {

            const Repair = function (properties) {
                this.blocks = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Repair.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Repair.prototype.gmap = 0;
            Repair.prototype.group = 0;
            Repair.prototype.term = 0;
            Repair.prototype.vdisk = 0;
            Repair.prototype.epoch = 0;
            Repair.prototype.blocks = $util.emptyArray;

            Repair.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(40).uint32(message.vdisk);
                writer.uint32(48).uint32(message.epoch);
                if (message.blocks != null && message.blocks.length)
                    for (let i = 0; i < message.blocks.length; ++i)
                        $root.stordom.petal.RepairBlock.encode(message.blocks[i], writer.uint32(218).fork(), _depth + 1).ldelim();
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Repair.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Repair();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.vdisk = reader.uint32();
                            continue;
                        }
                    case 6: {
                            if (wireType !== 0)
                                break;
                            message.epoch = reader.uint32();
                            continue;
                        }
                    case 27: {
                            if (wireType !== 2)
                                break;
                            if (!(message.blocks && message.blocks.length))
                                message.blocks = [];
                            message.blocks.push($root.stordom.petal.RepairBlock.decode(reader, reader.size(), $undefined, _depth + 1));
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "vdisk"))
                    throw $util.ProtocolError("missing required 'vdisk'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "epoch"))
                    throw $util.ProtocolError("missing required 'epoch'", { instance: message });
                return message;
            };

            return Repair;
        })();

        petal.Repaired = (function() {

            const Repaired = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Repaired.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Repaired.prototype.gmap = 0;
            Repaired.prototype.group = 0;
            Repaired.prototype.term = 0;
            Repaired.prototype.status = 0;

            Repaired.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(160).sint32(message.status);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Repaired.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Repaired();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 20: {
                            if (wireType !== 0)
                                break;
                            message.status = reader.sint32();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "status"))
                    throw $util.ProtocolError("missing required 'status'", { instance: message });
                return message;
            };

            return Repaired;
        })();

        petal.Fetch = (function() {

            const Fetch = function (properties) {
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Fetch.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Fetch.prototype.gmap = 0;
            Fetch.prototype.group = 0;
            Fetch.prototype.term = 0;
            Fetch.prototype.vdisk = 0;
            Fetch.prototype.epoch = 0;
            Fetch.prototype.block = $util.Long ? $util.Long.fromBits(0,0,true) : 0;

            Fetch.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(40).uint32(message.vdisk);
                writer.uint32(48).uint32(message.epoch);
                writer.uint32(56).uint64(message.block);
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Fetch.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Fetch();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 5: {
                            if (wireType !== 0)
                                break;
                            message.vdisk = reader.uint32();
                            continue;
                        }
                    case 6: {
                            if (wireType !== 0)
                                break;
                            message.epoch = reader.uint32();
                            continue;
                        }
                    case 7: {
                            if (wireType !== 0)
                                break;
                            message.block = reader.uint64();
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "vdisk"))
                    throw $util.ProtocolError("missing required 'vdisk'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "epoch"))
                    throw $util.ProtocolError("missing required 'epoch'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "block"))
                    throw $util.ProtocolError("missing required 'block'", { instance: message });
                return message;
            };

            return Fetch;
        })();

        petal.Fetched = (function() {

            const Fetched = function (properties) {
                this.blocks = [];
                if (properties)
                    for (let keys = $Object.keys(properties), i = 0; i < keys.length; ++i)
                        if (properties[keys[i]] != null && keys[i] !== "__proto__")
                            this[keys[i]] = properties[keys[i]];
            };

            Fetched.prototype.id = $util.Long ? $util.Long.fromBits(0,0,true) : 0;
            Fetched.prototype.gmap = 0;
            Fetched.prototype.group = 0;
            Fetched.prototype.term = 0;
            Fetched.prototype.status = 0;
            Fetched.prototype.blocks = $util.emptyArray;

            Fetched.encode = function (message, writer, _depth) {
                if (!writer)
                    writer = $Writer.create();
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $util.recursionLimit)
                    throw $Error("max depth exceeded");
                writer.uint32(8).uint64(message.id);
                writer.uint32(16).uint32(message.gmap);
                writer.uint32(24).uint32(message.group);
                writer.uint32(32).uint32(message.term);
                writer.uint32(160).sint32(message.status);
                if (message.blocks != null && message.blocks.length)
                    for (let i = 0; i < message.blocks.length; ++i)
                        $root.stordom.petal.RepairBlock.encode(message.blocks[i], writer.uint32(218).fork(), _depth + 1).ldelim();
                if (message.$unknowns != null && $Object.hasOwnProperty.call(message, "$unknowns"))
                    for (let i = 0; i < message.$unknowns.length; ++i)
                        writer.raw(message.$unknowns[i]);
                return writer;
            };

            Fetched.decode = function (reader, length, _end, _depth, _target) {
                if (!(reader instanceof $Reader))
                    reader = $Reader.create(reader);
                if (_depth === $undefined)
                    _depth = 0;
                if (_depth > $Reader.recursionLimit)
                    throw $Error("max depth exceeded");
                let end, message;
                if (length === $undefined)
                    end = reader.len;
                else {
                    end = reader.pos + length;
                    if (end > reader.len)
                        throw $RangeError("index out of range");
                    length = reader.len;
                    reader.len = end;
                }
                message = _target || new $root.stordom.petal.Fetched();
                while (reader.pos < end) {
                    let start = reader.pos;
                    let tag = reader.tag();
                    if (tag === _end) {
                        _end = $undefined;
                        break;
                    }
                    let wireType = tag & 7;
                    switch (tag >>>= 3) {
                    case 1: {
                            if (wireType !== 0)
                                break;
                            message.id = reader.uint64();
                            continue;
                        }
                    case 2: {
                            if (wireType !== 0)
                                break;
                            message.gmap = reader.uint32();
                            continue;
                        }
                    case 3: {
                            if (wireType !== 0)
                                break;
                            message.group = reader.uint32();
                            continue;
                        }
                    case 4: {
                            if (wireType !== 0)
                                break;
                            message.term = reader.uint32();
                            continue;
                        }
                    case 20: {
                            if (wireType !== 0)
                                break;
                            message.status = reader.sint32();
                            continue;
                        }
                    case 27: {
                            if (wireType !== 2)
                                break;
                            if (!(message.blocks && message.blocks.length))
                                message.blocks = [];
                            message.blocks.push($root.stordom.petal.RepairBlock.decode(reader, reader.size(), $undefined, _depth + 1));
                            continue;
                        }
                    }
                    reader.skipType(wireType, _depth, tag);
                    if (!reader.discardUnknown) {
                        $util.makeProp(message, "$unknowns", false);
                        (message.$unknowns || (message.$unknowns = [])).push(reader.raw(start, reader.pos));
                    }
                }
                if (length !== $undefined) {
                    if (reader.pos !== end)
                        throw $RangeError("index out of range");
                    reader.len = length;
                }
                if (_end !== $undefined)
                    throw $Error("missing end group");
                if (!$Object.hasOwnProperty.call(message, "id"))
                    throw $util.ProtocolError("missing required 'id'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "gmap"))
                    throw $util.ProtocolError("missing required 'gmap'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "group"))
                    throw $util.ProtocolError("missing required 'group'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "term"))
                    throw $util.ProtocolError("missing required 'term'", { instance: message });
                if (!$Object.hasOwnProperty.call(message, "status"))
                    throw $util.ProtocolError("missing required 'status'", { instance: message });
                return message;
            };

            return Fetched;
        })();

        return petal;
    })();

    return stordom;
})();

export {
  $root as default
};
