// Generated from petal.proto by scripts/generate-wire.mjs.
import * as $protobuf from "protobufjs/minimal.js";

/** Namespace stordom. */
export namespace stordom {

    /** Namespace petal. */
    namespace petal {

        /**
         * Properties of an Envelope.
         * @deprecated Use stordom.petal.Envelope.$Properties instead.
         */
        interface IEnvelope extends stordom.petal.Envelope.$Properties {
        }

        /** Represents an Envelope. */
        class Envelope {

            /**
             * Constructs a new Envelope.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Envelope.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Envelope hello. */
            hello?: (stordom.petal.Hello.$Properties|null);

            /** Envelope read. */
            read?: (stordom.petal.Read.$Properties|null);

            /** Envelope write. */
            write?: (stordom.petal.Write.$Properties|null);

            /** Envelope trim. */
            trim?: (stordom.petal.Trim.$Properties|null);

            /** Envelope writeIf. */
            writeIf?: (stordom.petal.WriteIf.$Properties|null);

            /** Envelope reply. */
            reply?: (stordom.petal.Reply.$Properties|null);

            /** Envelope replicate. */
            replicate?: (stordom.petal.Replicate.$Properties|null);

            /** Envelope replicated. */
            replicated?: (stordom.petal.Replicated.$Properties|null);

            /** Envelope probe. */
            probe?: (stordom.petal.Probe.$Properties|null);

            /** Envelope probed. */
            probed?: (stordom.petal.Probed.$Properties|null);

            /** Envelope rejoin. */
            rejoin?: (stordom.petal.Rejoin.$Properties|null);

            /** Envelope repair. */
            repair?: (stordom.petal.Repair.$Properties|null);

            /** Envelope repaired. */
            repaired?: (stordom.petal.Repaired.$Properties|null);

            /** Envelope fetch. */
            fetch?: (stordom.petal.Fetch.$Properties|null);

            /** Envelope fetched. */
            fetched?: (stordom.petal.Fetched.$Properties|null);

            /** Envelope message. */
            message?: ("hello"|"read"|"write"|"trim"|"writeIf"|"reply"|"replicate"|"replicated"|"probe"|"probed"|"rejoin"|"repair"|"repaired"|"fetch"|"fetched");

            /**
             * Encodes the specified Envelope message. Does not implicitly {@link stordom.petal.Envelope.verify|verify} messages.
             * @param message Envelope message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Envelope.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes an Envelope message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Envelope & stordom.petal.Envelope.$Shape} Envelope
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Envelope & stordom.petal.Envelope.$Shape;
        }

        namespace Envelope {

            /** Properties of an Envelope. */
            interface $Properties {

                /** Envelope hello */
                hello?: (stordom.petal.Hello.$Properties|null);

                /** Envelope read */
                read?: (stordom.petal.Read.$Properties|null);

                /** Envelope write */
                write?: (stordom.petal.Write.$Properties|null);

                /** Envelope trim */
                trim?: (stordom.petal.Trim.$Properties|null);

                /** Envelope writeIf */
                writeIf?: (stordom.petal.WriteIf.$Properties|null);

                /** Envelope reply */
                reply?: (stordom.petal.Reply.$Properties|null);

                /** Envelope replicate */
                replicate?: (stordom.petal.Replicate.$Properties|null);

                /** Envelope replicated */
                replicated?: (stordom.petal.Replicated.$Properties|null);

                /** Envelope probe */
                probe?: (stordom.petal.Probe.$Properties|null);

                /** Envelope probed */
                probed?: (stordom.petal.Probed.$Properties|null);

                /** Envelope rejoin */
                rejoin?: (stordom.petal.Rejoin.$Properties|null);

                /** Envelope repair */
                repair?: (stordom.petal.Repair.$Properties|null);

                /** Envelope repaired */
                repaired?: (stordom.petal.Repaired.$Properties|null);

                /** Envelope fetch */
                fetch?: (stordom.petal.Fetch.$Properties|null);

                /** Envelope fetched */
                fetched?: (stordom.petal.Fetched.$Properties|null);

                /** Envelope message */
                message?: ("hello"|"read"|"write"|"trim"|"writeIf"|"reply"|"replicate"|"replicated"|"probe"|"probed"|"rejoin"|"repair"|"repaired"|"fetch"|"fetched");

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Narrowed shape of an Envelope. */
            type $Shape = {
              hello?: stordom.petal.Hello.$Shape|null;
              read?: stordom.petal.Read.$Shape|null;
              write?: stordom.petal.Write.$Shape|null;
              trim?: stordom.petal.Trim.$Shape|null;
              writeIf?: stordom.petal.WriteIf.$Shape|null;
              reply?: stordom.petal.Reply.$Shape|null;
              replicate?: stordom.petal.Replicate.$Shape|null;
              replicated?: stordom.petal.Replicated.$Shape|null;
              probe?: stordom.petal.Probe.$Shape|null;
              probed?: stordom.petal.Probed.$Shape|null;
              rejoin?: stordom.petal.Rejoin.$Shape|null;
              repair?: stordom.petal.Repair.$Shape|null;
              repaired?: stordom.petal.Repaired.$Shape|null;
              fetch?: stordom.petal.Fetch.$Shape|null;
              fetched?: stordom.petal.Fetched.$Shape|null;
              $unknowns?: Uint8Array[];
            } & (
              ({ message?: undefined; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "hello"; hello: stordom.petal.Hello.$Shape; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "read"; hello?: null; read: stordom.petal.Read.$Shape; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "write"; hello?: null; read?: null; write: stordom.petal.Write.$Shape; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "trim"; hello?: null; read?: null; write?: null; trim: stordom.petal.Trim.$Shape; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "writeIf"; hello?: null; read?: null; write?: null; trim?: null; writeIf: stordom.petal.WriteIf.$Shape; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "reply"; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply: stordom.petal.Reply.$Shape; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "replicate"; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate: stordom.petal.Replicate.$Shape; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "replicated"; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated: stordom.petal.Replicated.$Shape; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "probe"; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe: stordom.petal.Probe.$Shape; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "probed"; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed: stordom.petal.Probed.$Shape; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "rejoin"; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin: stordom.petal.Rejoin.$Shape; repair?: null; repaired?: null; fetch?: null; fetched?: null }|{ message?: "repair"; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair: stordom.petal.Repair.$Shape; repaired?: null; fetch?: null; fetched?: null }|{ message?: "repaired"; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired: stordom.petal.Repaired.$Shape; fetch?: null; fetched?: null }|{ message?: "fetch"; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch: stordom.petal.Fetch.$Shape; fetched?: null }|{ message?: "fetched"; hello?: null; read?: null; write?: null; trim?: null; writeIf?: null; reply?: null; replicate?: null; replicated?: null; probe?: null; probed?: null; rejoin?: null; repair?: null; repaired?: null; fetch?: null; fetched: stordom.petal.Fetched.$Shape })
            );
        }

        /**
         * Properties of a Hello.
         * @deprecated Use stordom.petal.Hello.$Properties instead.
         */
        interface IHello extends stordom.petal.Hello.$Properties {
        }

        /** Represents a Hello. */
        class Hello {

            /**
             * Constructs a new Hello.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Hello.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Hello protocol. */
            protocol: number;

            /** Hello pool. */
            pool: Uint8Array;

            /** Hello from. */
            from: string;

            /** Hello isServer. */
            isServer: boolean;

            /** Hello incarnation. */
            incarnation: number;

            /**
             * Encodes the specified Hello message. Does not implicitly {@link stordom.petal.Hello.verify|verify} messages.
             * @param message Hello message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Hello.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Hello message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Hello & stordom.petal.Hello.$Shape} Hello
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Hello & stordom.petal.Hello.$Shape;
        }

        namespace Hello {

            /** Properties of a Hello. */
            interface $Properties {

                /** Hello protocol */
                protocol: number;

                /** Hello pool */
                pool: Uint8Array;

                /** Hello from */
                from: string;

                /** Hello isServer */
                isServer: boolean;

                /** Hello incarnation */
                incarnation: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Hello. */
            type $Shape = stordom.petal.Hello.$Properties;
        }

        /**
         * Properties of a Read.
         * @deprecated Use stordom.petal.Read.$Properties instead.
         */
        interface IRead extends stordom.petal.Read.$Properties {
        }

        /** Represents a Read. */
        class Read {

            /**
             * Constructs a new Read.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Read.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Read id. */
            id: number;

            /** Read gmap. */
            gmap: number;

            /** Read group. */
            group: number;

            /** Read term. */
            term: number;

            /** Read vdisk. */
            vdisk: number;

            /** Read epoch. */
            epoch: number;

            /** Read block. */
            block: number;

            /** Read blocks. */
            blocks: number;

            /** Read session. */
            session: number;

            /** Read fence. */
            fence: number;

            /** Read mapVersion. */
            mapVersion: number;

            /** Read conditional. */
            conditional: boolean;

            /**
             * Encodes the specified Read message. Does not implicitly {@link stordom.petal.Read.verify|verify} messages.
             * @param message Read message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Read.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Read message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Read & stordom.petal.Read.$Shape} Read
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Read & stordom.petal.Read.$Shape;
        }

        namespace Read {

            /** Properties of a Read. */
            interface $Properties {

                /** Read id */
                id: number;

                /** Read gmap */
                gmap: number;

                /** Read group */
                group: number;

                /** Read term */
                term: number;

                /** Read vdisk */
                vdisk: number;

                /** Read epoch */
                epoch: number;

                /** Read block */
                block: number;

                /** Read blocks */
                blocks: number;

                /** Read session */
                session: number;

                /** Read fence */
                fence: number;

                /** Read mapVersion */
                mapVersion: number;

                /** Read conditional */
                conditional: boolean;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Read. */
            type $Shape = stordom.petal.Read.$Properties;
        }

        /**
         * Properties of a Write.
         * @deprecated Use stordom.petal.Write.$Properties instead.
         */
        interface IWrite extends stordom.petal.Write.$Properties {
        }

        /** Represents a Write. */
        class Write {

            /**
             * Constructs a new Write.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Write.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Write id. */
            id: number;

            /** Write gmap. */
            gmap: number;

            /** Write group. */
            group: number;

            /** Write term. */
            term: number;

            /** Write vdisk. */
            vdisk: number;

            /** Write epoch. */
            epoch: number;

            /** Write block. */
            block: number;

            /** Write blocks. */
            blocks: number;

            /** Write session. */
            session: number;

            /** Write fence. */
            fence: number;

            /** Write mapVersion. */
            mapVersion: number;

            /** Write seq. */
            seq: number;

            /** Write crcs. */
            crcs: number[];

            /**
             * Encodes the specified Write message. Does not implicitly {@link stordom.petal.Write.verify|verify} messages.
             * @param message Write message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Write.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Write message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Write & stordom.petal.Write.$Shape} Write
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Write & stordom.petal.Write.$Shape;
        }

        namespace Write {

            /** Properties of a Write. */
            interface $Properties {

                /** Write id */
                id: number;

                /** Write gmap */
                gmap: number;

                /** Write group */
                group: number;

                /** Write term */
                term: number;

                /** Write vdisk */
                vdisk: number;

                /** Write epoch */
                epoch: number;

                /** Write block */
                block: number;

                /** Write blocks */
                blocks: number;

                /** Write session */
                session: number;

                /** Write fence */
                fence: number;

                /** Write mapVersion */
                mapVersion: number;

                /** Write seq */
                seq: number;

                /** Write crcs */
                crcs?: (number[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Write. */
            type $Shape = stordom.petal.Write.$Properties;
        }

        /**
         * Properties of a Trim.
         * @deprecated Use stordom.petal.Trim.$Properties instead.
         */
        interface ITrim extends stordom.petal.Trim.$Properties {
        }

        /** Represents a Trim. */
        class Trim {

            /**
             * Constructs a new Trim.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Trim.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Trim id. */
            id: number;

            /** Trim gmap. */
            gmap: number;

            /** Trim group. */
            group: number;

            /** Trim term. */
            term: number;

            /** Trim vdisk. */
            vdisk: number;

            /** Trim epoch. */
            epoch: number;

            /** Trim block. */
            block: number;

            /** Trim blocks. */
            blocks: number;

            /** Trim session. */
            session: number;

            /** Trim fence. */
            fence: number;

            /** Trim mapVersion. */
            mapVersion: number;

            /** Trim seq. */
            seq: number;

            /**
             * Encodes the specified Trim message. Does not implicitly {@link stordom.petal.Trim.verify|verify} messages.
             * @param message Trim message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Trim.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Trim message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Trim & stordom.petal.Trim.$Shape} Trim
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Trim & stordom.petal.Trim.$Shape;
        }

        namespace Trim {

            /** Properties of a Trim. */
            interface $Properties {

                /** Trim id */
                id: number;

                /** Trim gmap */
                gmap: number;

                /** Trim group */
                group: number;

                /** Trim term */
                term: number;

                /** Trim vdisk */
                vdisk: number;

                /** Trim epoch */
                epoch: number;

                /** Trim block */
                block: number;

                /** Trim blocks */
                blocks: number;

                /** Trim session */
                session: number;

                /** Trim fence */
                fence: number;

                /** Trim mapVersion */
                mapVersion: number;

                /** Trim seq */
                seq: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Trim. */
            type $Shape = stordom.petal.Trim.$Properties;
        }

        /**
         * Properties of a WriteIf.
         * @deprecated Use stordom.petal.WriteIf.$Properties instead.
         */
        interface IWriteIf extends stordom.petal.WriteIf.$Properties {
        }

        /** Represents a WriteIf. */
        class WriteIf {

            /**
             * Constructs a new WriteIf.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.WriteIf.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** WriteIf id. */
            id: number;

            /** WriteIf gmap. */
            gmap: number;

            /** WriteIf group. */
            group: number;

            /** WriteIf term. */
            term: number;

            /** WriteIf vdisk. */
            vdisk: number;

            /** WriteIf epoch. */
            epoch: number;

            /** WriteIf block. */
            block: number;

            /** WriteIf blocks. */
            blocks: number;

            /** WriteIf session. */
            session: number;

            /** WriteIf fence. */
            fence: number;

            /** WriteIf mapVersion. */
            mapVersion: number;

            /** WriteIf seq. */
            seq: number;

            /** WriteIf crcs. */
            crcs: number[];

            /** WriteIf expectedVersion. */
            expectedVersion: number;

            /**
             * Encodes the specified WriteIf message. Does not implicitly {@link stordom.petal.WriteIf.verify|verify} messages.
             * @param message WriteIf message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.WriteIf.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a WriteIf message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.WriteIf & stordom.petal.WriteIf.$Shape} WriteIf
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.WriteIf & stordom.petal.WriteIf.$Shape;
        }

        namespace WriteIf {

            /** Properties of a WriteIf. */
            interface $Properties {

                /** WriteIf id */
                id: number;

                /** WriteIf gmap */
                gmap: number;

                /** WriteIf group */
                group: number;

                /** WriteIf term */
                term: number;

                /** WriteIf vdisk */
                vdisk: number;

                /** WriteIf epoch */
                epoch: number;

                /** WriteIf block */
                block: number;

                /** WriteIf blocks */
                blocks: number;

                /** WriteIf session */
                session: number;

                /** WriteIf fence */
                fence: number;

                /** WriteIf mapVersion */
                mapVersion: number;

                /** WriteIf seq */
                seq: number;

                /** WriteIf crcs */
                crcs?: (number[]|null);

                /** WriteIf expectedVersion */
                expectedVersion: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a WriteIf. */
            type $Shape = stordom.petal.WriteIf.$Properties;
        }

        /**
         * Properties of a Reply.
         * @deprecated Use stordom.petal.Reply.$Properties instead.
         */
        interface IReply extends stordom.petal.Reply.$Properties {
        }

        /** Represents a Reply. */
        class Reply {

            /**
             * Constructs a new Reply.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Reply.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Reply id. */
            id: number;

            /** Reply term. */
            term: number;

            /** Reply crcs. */
            crcs: number[];

            /** Reply status. */
            status: number;

            /** Reply primary. */
            primary: number;

            /** Reply queue. */
            queue: number;

            /** Reply version. */
            version: number;

            /**
             * Encodes the specified Reply message. Does not implicitly {@link stordom.petal.Reply.verify|verify} messages.
             * @param message Reply message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Reply.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Reply message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Reply & stordom.petal.Reply.$Shape} Reply
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Reply & stordom.petal.Reply.$Shape;
        }

        namespace Reply {

            /** Properties of a Reply. */
            interface $Properties {

                /** Reply id */
                id: number;

                /** Reply term */
                term: number;

                /** Reply crcs */
                crcs?: (number[]|null);

                /** Reply status */
                status: number;

                /** Reply primary */
                primary: number;

                /** Reply queue */
                queue: number;

                /** Reply version */
                version: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Reply. */
            type $Shape = stordom.petal.Reply.$Properties;
        }

        /**
         * Properties of a Replicate.
         * @deprecated Use stordom.petal.Replicate.$Properties instead.
         */
        interface IReplicate extends stordom.petal.Replicate.$Properties {
        }

        /** Represents a Replicate. */
        class Replicate {

            /**
             * Constructs a new Replicate.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Replicate.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Replicate id. */
            id: number;

            /** Replicate gmap. */
            gmap: number;

            /** Replicate group. */
            group: number;

            /** Replicate term. */
            term: number;

            /** Replicate vdisk. */
            vdisk: number;

            /** Replicate epoch. */
            epoch: number;

            /** Replicate block. */
            block: number;

            /** Replicate blocks. */
            blocks: number;

            /** Replicate session. */
            session: number;

            /** Replicate seq. */
            seq: number;

            /** Replicate crcs. */
            crcs: number[];

            /** Replicate version. */
            version: stordom.petal.BlockVersion.$Properties;

            /** Replicate committed. */
            committed: stordom.petal.BlockVersion.$Properties;

            /** Replicate op. */
            op: number;

            /** Replicate conditionalVersion. */
            conditionalVersion: number;

            /**
             * Encodes the specified Replicate message. Does not implicitly {@link stordom.petal.Replicate.verify|verify} messages.
             * @param message Replicate message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Replicate.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Replicate message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Replicate & stordom.petal.Replicate.$Shape} Replicate
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Replicate & stordom.petal.Replicate.$Shape;
        }

        namespace Replicate {

            /** Properties of a Replicate. */
            interface $Properties {

                /** Replicate id */
                id: number;

                /** Replicate gmap */
                gmap: number;

                /** Replicate group */
                group: number;

                /** Replicate term */
                term: number;

                /** Replicate vdisk */
                vdisk: number;

                /** Replicate epoch */
                epoch: number;

                /** Replicate block */
                block: number;

                /** Replicate blocks */
                blocks: number;

                /** Replicate session */
                session: number;

                /** Replicate seq */
                seq: number;

                /** Replicate crcs */
                crcs?: (number[]|null);

                /** Replicate version */
                version: stordom.petal.BlockVersion.$Properties;

                /** Replicate committed */
                committed: stordom.petal.BlockVersion.$Properties;

                /** Replicate op */
                op: number;

                /** Replicate conditionalVersion */
                conditionalVersion: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Replicate. */
            type $Shape = stordom.petal.Replicate.$Properties;
        }

        /**
         * Properties of a Replicated.
         * @deprecated Use stordom.petal.Replicated.$Properties instead.
         */
        interface IReplicated extends stordom.petal.Replicated.$Properties {
        }

        /** Represents a Replicated. */
        class Replicated {

            /**
             * Constructs a new Replicated.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Replicated.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Replicated id. */
            id: number;

            /** Replicated gmap. */
            gmap: number;

            /** Replicated group. */
            group: number;

            /** Replicated term. */
            term: number;

            /** Replicated status. */
            status: number;

            /**
             * Encodes the specified Replicated message. Does not implicitly {@link stordom.petal.Replicated.verify|verify} messages.
             * @param message Replicated message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Replicated.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Replicated message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Replicated & stordom.petal.Replicated.$Shape} Replicated
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Replicated & stordom.petal.Replicated.$Shape;
        }

        namespace Replicated {

            /** Properties of a Replicated. */
            interface $Properties {

                /** Replicated id */
                id: number;

                /** Replicated gmap */
                gmap: number;

                /** Replicated group */
                group: number;

                /** Replicated term */
                term: number;

                /** Replicated status */
                status: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Replicated. */
            type $Shape = stordom.petal.Replicated.$Properties;
        }

        /**
         * Properties of a Probe.
         * @deprecated Use stordom.petal.Probe.$Properties instead.
         */
        interface IProbe extends stordom.petal.Probe.$Properties {
        }

        /** Represents a Probe. */
        class Probe {

            /**
             * Constructs a new Probe.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Probe.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Probe id. */
            id: number;

            /** Probe gmap. */
            gmap: number;

            /** Probe group. */
            group: number;

            /** Probe term. */
            term: number;

            /** Probe committed. */
            committed: stordom.petal.BlockVersion.$Properties;

            /** Probe wantsDirty. */
            wantsDirty: boolean;

            /** Probe after. */
            after: stordom.petal.DirtyBlock.$Properties;

            /**
             * Encodes the specified Probe message. Does not implicitly {@link stordom.petal.Probe.verify|verify} messages.
             * @param message Probe message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Probe.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Probe message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Probe & stordom.petal.Probe.$Shape} Probe
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Probe & stordom.petal.Probe.$Shape;
        }

        namespace Probe {

            /** Properties of a Probe. */
            interface $Properties {

                /** Probe id */
                id: number;

                /** Probe gmap */
                gmap: number;

                /** Probe group */
                group: number;

                /** Probe term */
                term: number;

                /** Probe committed */
                committed: stordom.petal.BlockVersion.$Properties;

                /** Probe wantsDirty */
                wantsDirty: boolean;

                /** Probe after */
                after: stordom.petal.DirtyBlock.$Properties;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Probe. */
            type $Shape = stordom.petal.Probe.$Properties;
        }

        /**
         * Properties of a Probed.
         * @deprecated Use stordom.petal.Probed.$Properties instead.
         */
        interface IProbed extends stordom.petal.Probed.$Properties {
        }

        /** Represents a Probed. */
        class Probed {

            /**
             * Constructs a new Probed.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Probed.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Probed id. */
            id: number;

            /** Probed gmap. */
            gmap: number;

            /** Probed group. */
            group: number;

            /** Probed term. */
            term: number;

            /** Probed incarnation. */
            incarnation: number;

            /** Probed dirty. */
            dirty: stordom.petal.DirtyBlock.$Properties[];

            /**
             * Encodes the specified Probed message. Does not implicitly {@link stordom.petal.Probed.verify|verify} messages.
             * @param message Probed message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Probed.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Probed message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Probed & stordom.petal.Probed.$Shape} Probed
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Probed & stordom.petal.Probed.$Shape;
        }

        namespace Probed {

            /** Properties of a Probed. */
            interface $Properties {

                /** Probed id */
                id: number;

                /** Probed gmap */
                gmap: number;

                /** Probed group */
                group: number;

                /** Probed term */
                term: number;

                /** Probed incarnation */
                incarnation: number;

                /** Probed dirty */
                dirty?: (stordom.petal.DirtyBlock.$Properties[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Probed. */
            type $Shape = stordom.petal.Probed.$Properties;
        }

        /**
         * Properties of a DirtyBlock.
         * @deprecated Use stordom.petal.DirtyBlock.$Properties instead.
         */
        interface IDirtyBlock extends stordom.petal.DirtyBlock.$Properties {
        }

        /** Represents a DirtyBlock. */
        class DirtyBlock {

            /**
             * Constructs a new DirtyBlock.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.DirtyBlock.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** DirtyBlock vdisk. */
            vdisk: number;

            /** DirtyBlock epoch. */
            epoch: number;

            /** DirtyBlock block. */
            block: number;

            /**
             * Encodes the specified DirtyBlock message. Does not implicitly {@link stordom.petal.DirtyBlock.verify|verify} messages.
             * @param message DirtyBlock message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.DirtyBlock.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a DirtyBlock message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.DirtyBlock & stordom.petal.DirtyBlock.$Shape} DirtyBlock
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.DirtyBlock & stordom.petal.DirtyBlock.$Shape;
        }

        namespace DirtyBlock {

            /** Properties of a DirtyBlock. */
            interface $Properties {

                /** DirtyBlock vdisk */
                vdisk: number;

                /** DirtyBlock epoch */
                epoch: number;

                /** DirtyBlock block */
                block: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a DirtyBlock. */
            type $Shape = stordom.petal.DirtyBlock.$Properties;
        }

        /**
         * Properties of a Rejoin.
         * @deprecated Use stordom.petal.Rejoin.$Properties instead.
         */
        interface IRejoin extends stordom.petal.Rejoin.$Properties {
        }

        /** Represents a Rejoin. */
        class Rejoin {

            /**
             * Constructs a new Rejoin.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Rejoin.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Rejoin id. */
            id: number;

            /** Rejoin gmap. */
            gmap: number;

            /** Rejoin group. */
            group: number;

            /** Rejoin term. */
            term: number;

            /** Rejoin incarnation. */
            incarnation: number;

            /** Rejoin lastTerm. */
            lastTerm: number;

            /**
             * Encodes the specified Rejoin message. Does not implicitly {@link stordom.petal.Rejoin.verify|verify} messages.
             * @param message Rejoin message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Rejoin.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Rejoin message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Rejoin & stordom.petal.Rejoin.$Shape} Rejoin
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Rejoin & stordom.petal.Rejoin.$Shape;
        }

        namespace Rejoin {

            /** Properties of a Rejoin. */
            interface $Properties {

                /** Rejoin id */
                id: number;

                /** Rejoin gmap */
                gmap: number;

                /** Rejoin group */
                group: number;

                /** Rejoin term */
                term: number;

                /** Rejoin incarnation */
                incarnation: number;

                /** Rejoin lastTerm */
                lastTerm: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Rejoin. */
            type $Shape = stordom.petal.Rejoin.$Properties;
        }

        /**
         * Properties of a BlockVersion.
         * @deprecated Use stordom.petal.BlockVersion.$Properties instead.
         */
        interface IBlockVersion extends stordom.petal.BlockVersion.$Properties {
        }

        /** Represents a BlockVersion. */
        class BlockVersion {

            /**
             * Constructs a new BlockVersion.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.BlockVersion.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** BlockVersion term. */
            term: number;

            /** BlockVersion n. */
            n: number;

            /**
             * Encodes the specified BlockVersion message. Does not implicitly {@link stordom.petal.BlockVersion.verify|verify} messages.
             * @param message BlockVersion message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.BlockVersion.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a BlockVersion message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.BlockVersion & stordom.petal.BlockVersion.$Shape} BlockVersion
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.BlockVersion & stordom.petal.BlockVersion.$Shape;
        }

        namespace BlockVersion {

            /** Properties of a BlockVersion. */
            interface $Properties {

                /** BlockVersion term */
                term: number;

                /** BlockVersion n */
                n: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a BlockVersion. */
            type $Shape = stordom.petal.BlockVersion.$Properties;
        }

        /**
         * Properties of a RepairBlock.
         * @deprecated Use stordom.petal.RepairBlock.$Properties instead.
         */
        interface IRepairBlock extends stordom.petal.RepairBlock.$Properties {
        }

        /** Represents a RepairBlock. */
        class RepairBlock {

            /**
             * Constructs a new RepairBlock.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.RepairBlock.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** RepairBlock block. */
            block: number;

            /** RepairBlock session. */
            session: number;

            /** RepairBlock seq. */
            seq: number;

            /** RepairBlock version. */
            version: stordom.petal.BlockVersion.$Properties;

            /** RepairBlock conditionalVersion. */
            conditionalVersion: number;

            /** RepairBlock crc. */
            crc: number;

            /** RepairBlock hasData. */
            hasData: boolean;

            /** RepairBlock force. */
            force: boolean;

            /** RepairBlock isLost. */
            isLost: boolean;

            /**
             * Encodes the specified RepairBlock message. Does not implicitly {@link stordom.petal.RepairBlock.verify|verify} messages.
             * @param message RepairBlock message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.RepairBlock.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a RepairBlock message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.RepairBlock & stordom.petal.RepairBlock.$Shape} RepairBlock
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.RepairBlock & stordom.petal.RepairBlock.$Shape;
        }

        namespace RepairBlock {

            /** Properties of a RepairBlock. */
            interface $Properties {

                /** RepairBlock block */
                block: number;

                /** RepairBlock session */
                session: number;

                /** RepairBlock seq */
                seq: number;

                /** RepairBlock version */
                version: stordom.petal.BlockVersion.$Properties;

                /** RepairBlock conditionalVersion */
                conditionalVersion: number;

                /** RepairBlock crc */
                crc: number;

                /** RepairBlock hasData */
                hasData: boolean;

                /** RepairBlock force */
                force: boolean;

                /** RepairBlock isLost */
                isLost: boolean;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a RepairBlock. */
            type $Shape = stordom.petal.RepairBlock.$Properties;
        }

        /**
         * Properties of a Repair.
         * @deprecated Use stordom.petal.Repair.$Properties instead.
         */
        interface IRepair extends stordom.petal.Repair.$Properties {
        }

        /** Represents a Repair. */
        class Repair {

            /**
             * Constructs a new Repair.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Repair.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Repair id. */
            id: number;

            /** Repair gmap. */
            gmap: number;

            /** Repair group. */
            group: number;

            /** Repair term. */
            term: number;

            /** Repair vdisk. */
            vdisk: number;

            /** Repair epoch. */
            epoch: number;

            /** Repair blocks. */
            blocks: stordom.petal.RepairBlock.$Properties[];

            /**
             * Encodes the specified Repair message. Does not implicitly {@link stordom.petal.Repair.verify|verify} messages.
             * @param message Repair message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Repair.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Repair message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Repair & stordom.petal.Repair.$Shape} Repair
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Repair & stordom.petal.Repair.$Shape;
        }

        namespace Repair {

            /** Properties of a Repair. */
            interface $Properties {

                /** Repair id */
                id: number;

                /** Repair gmap */
                gmap: number;

                /** Repair group */
                group: number;

                /** Repair term */
                term: number;

                /** Repair vdisk */
                vdisk: number;

                /** Repair epoch */
                epoch: number;

                /** Repair blocks */
                blocks?: (stordom.petal.RepairBlock.$Properties[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Repair. */
            type $Shape = stordom.petal.Repair.$Properties;
        }

        /**
         * Properties of a Repaired.
         * @deprecated Use stordom.petal.Repaired.$Properties instead.
         */
        interface IRepaired extends stordom.petal.Repaired.$Properties {
        }

        /** Represents a Repaired. */
        class Repaired {

            /**
             * Constructs a new Repaired.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Repaired.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Repaired id. */
            id: number;

            /** Repaired gmap. */
            gmap: number;

            /** Repaired group. */
            group: number;

            /** Repaired term. */
            term: number;

            /** Repaired status. */
            status: number;

            /**
             * Encodes the specified Repaired message. Does not implicitly {@link stordom.petal.Repaired.verify|verify} messages.
             * @param message Repaired message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Repaired.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Repaired message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Repaired & stordom.petal.Repaired.$Shape} Repaired
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Repaired & stordom.petal.Repaired.$Shape;
        }

        namespace Repaired {

            /** Properties of a Repaired. */
            interface $Properties {

                /** Repaired id */
                id: number;

                /** Repaired gmap */
                gmap: number;

                /** Repaired group */
                group: number;

                /** Repaired term */
                term: number;

                /** Repaired status */
                status: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Repaired. */
            type $Shape = stordom.petal.Repaired.$Properties;
        }

        /**
         * Properties of a Fetch.
         * @deprecated Use stordom.petal.Fetch.$Properties instead.
         */
        interface IFetch extends stordom.petal.Fetch.$Properties {
        }

        /** Represents a Fetch. */
        class Fetch {

            /**
             * Constructs a new Fetch.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Fetch.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Fetch id. */
            id: number;

            /** Fetch gmap. */
            gmap: number;

            /** Fetch group. */
            group: number;

            /** Fetch term. */
            term: number;

            /** Fetch vdisk. */
            vdisk: number;

            /** Fetch epoch. */
            epoch: number;

            /** Fetch block. */
            block: number;

            /**
             * Encodes the specified Fetch message. Does not implicitly {@link stordom.petal.Fetch.verify|verify} messages.
             * @param message Fetch message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Fetch.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Fetch message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Fetch & stordom.petal.Fetch.$Shape} Fetch
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Fetch & stordom.petal.Fetch.$Shape;
        }

        namespace Fetch {

            /** Properties of a Fetch. */
            interface $Properties {

                /** Fetch id */
                id: number;

                /** Fetch gmap */
                gmap: number;

                /** Fetch group */
                group: number;

                /** Fetch term */
                term: number;

                /** Fetch vdisk */
                vdisk: number;

                /** Fetch epoch */
                epoch: number;

                /** Fetch block */
                block: number;

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Fetch. */
            type $Shape = stordom.petal.Fetch.$Properties;
        }

        /**
         * Properties of a Fetched.
         * @deprecated Use stordom.petal.Fetched.$Properties instead.
         */
        interface IFetched extends stordom.petal.Fetched.$Properties {
        }

        /** Represents a Fetched. */
        class Fetched {

            /**
             * Constructs a new Fetched.
             * @param [properties] Properties to set
             */
            constructor(properties?: stordom.petal.Fetched.$Properties);

            /** Unknown fields preserved while decoding when enabled */
            $unknowns?: Uint8Array[];

            /** Fetched id. */
            id: number;

            /** Fetched gmap. */
            gmap: number;

            /** Fetched group. */
            group: number;

            /** Fetched term. */
            term: number;

            /** Fetched status. */
            status: number;

            /** Fetched blocks. */
            blocks: stordom.petal.RepairBlock.$Properties[];

            /**
             * Encodes the specified Fetched message. Does not implicitly {@link stordom.petal.Fetched.verify|verify} messages.
             * @param message Fetched message or plain object to encode
             * @param [writer] Writer to encode to
             * @returns Writer
             */
            static encode(message: stordom.petal.Fetched.$Properties, writer?: $protobuf.Writer): $protobuf.Writer;

            /**
             * Decodes a Fetched message from the specified reader or buffer.
             * @param reader Reader or buffer to decode from
             * @param [length] Message length if known beforehand
             * @returns {stordom.petal.Fetched & stordom.petal.Fetched.$Shape} Fetched
             * @throws {Error} If the payload is not a reader or valid buffer
             * @throws {$protobuf.util.ProtocolError} If required fields are missing
             */
            static decode(reader: ($protobuf.Reader|Uint8Array), length?: number): stordom.petal.Fetched & stordom.petal.Fetched.$Shape;
        }

        namespace Fetched {

            /** Properties of a Fetched. */
            interface $Properties {

                /** Fetched id */
                id: number;

                /** Fetched gmap */
                gmap: number;

                /** Fetched group */
                group: number;

                /** Fetched term */
                term: number;

                /** Fetched status */
                status: number;

                /** Fetched blocks */
                blocks?: (stordom.petal.RepairBlock.$Properties[]|null);

                /** Unknown fields preserved while decoding when enabled */
                $unknowns?: Uint8Array[];
            }

            /** Shape of a Fetched. */
            type $Shape = stordom.petal.Fetched.$Properties;
        }
    }
}
