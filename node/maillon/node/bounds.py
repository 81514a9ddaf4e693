"""Every bound of the node that is not part of the protocol, with its reason, in one place."""

from __future__ import annotations

# --- engine -------------------------------------------------------------------------------------

PENDING_RECORDS_MAX = 8_192
"""Records that wait for an identity record, in all: a federation's morning of new members whose
memberships are a second behind their first offers."""

PENDING_BYTES_MAX = 32 * 1_024 * 1_024
"""Memory of all that waits."""

PENDING_PEER_RECORDS_MAX = 1_024
"""Records that wait on one peer's word: a stranger fills its own share and evicts only itself."""

PENDING_PEER_BYTES_MAX = 4 * 1_024 * 1_024
"""Memory of what waits on one peer's word."""

PENDING_LIFETIME_S = 900
"""After this a waiting record is let go; reconciliation brings it again if it is still wanted."""

REFUSED_IDS_MAX = 16_384
"""Ids that were refused lately, about 100 bytes each."""

REFUSED_LIFETIME_S = 120
"""How long a refused id is not asked for again. Short: a refusal can stop being right."""

OUTBOX_COALESCE_S = 0.04
"""How long a record waits for company while the line is busy: unnoticed by people, and at 1,000
records a second 40 of them share the milliseconds that one message costs."""

OUTBOX_SOURCE_BYTES_MAX = 1_024 * 1_024
"""What one source (a peer whose records we pass on, or ourselves) may have waiting for gossip.
What does not fit is not lost: reconciliation carries it."""

OUTBOX_SOURCES_MAX = 256
"""Sources with records waiting: as many as a node has connections."""

OUTBOX_BATCHES_PER_FLUSH_MAX = 4
"""Messages handed to gossip at once: 256 KiB each 40 ms is more than a line of 50 Mbit/s."""

SYNC_INTERVAL_S = 30
"""Time between two rounds of reconciliation, each with the connected peer not asked for longest.
An idle session is about 300 bytes each way."""

SYNC_JITTER = 0.25
"""Share by which an interval is drawn longer or shorter, so that nodes do not fall into step."""

SYNC_SECOND_S = 12
"""On a new connection the node with the lower key starts; the other waits this long before it does
so itself. Both at once would send everything twice."""

SYNC_SOON_S = 2
"""After a sign of loss (a record whose author is unknown): time for gossip to bring it first."""

SYNC_RETRY_S = 5
"""Wait after a failed session, doubled by each further failure."""

SYNC_RETRY_MAX_S = 600
"""Longest wait after failed sessions."""

SYNC_OUTGOING_MAX = 3
"""Sessions this node drives at once: more would only share the same two cores."""

SYNC_INCOMING_MAX = 8
"""Sessions it answers at once."""

SYNC_SESSION_S_MAX = 900
"""Longest session: a million records take a few minutes; a slower peer continues in the next."""

SYNC_SILENCE_S_MAX = 30
"""Longest wait for the other side's next frame."""

SYNC_ROUNDS_MAX = 64
"""Messages of set reconciliation in a session: each narrows a difference 16-fold."""

SYNC_IDS_MAX = 200_000
"""Ids a session keeps to fetch or to push, 32 bytes each and their objects: 20 MB. What is beyond
is found in the next session."""

SYNC_RANGES_MAX = 4_096
"""Whole ranges a session keeps to fetch."""

SYNC_WANT_IDS_MAX = 1_000
"""Ids in one WANT: 32 KB, an array of the protocol (1,024 items)."""

SYNC_PASSES_MAX = 4
"""How often a session asks again for records that were left waiting for records behind them."""

SYNC_RECORDS_BYTES_MAX = 2 * 1_024 * 1_024 * 1_024
"""Bytes of records in a session, each way: a million of the largest plausible offers."""

SYNC_INVALID_MAX = 32
"""Provably invalid records after which a session is broken off: no honest node stores even one."""

SYNC_AHEAD_MAX = 4
"""Batches of records, 64 KiB each, that a session reads while those before them are verified:
enough for two threads to stay busy while this one reads and stores."""

SYNC_PAGE_RECORDS = 512
"""Records read from the store at a time while a session sends."""

GOSSIP_RECORDS_MAX = 1_024
"""Records in one gossip message: an array of the protocol."""

GOSSIP_RECORDS_RATE = 2_000.0
GOSSIP_RECORDS_BURST = 20_000.0
"""Records a second from one peer by gossip, and how many at once: a fifth of what a core verifies.
What is beyond is not read, costs no score, and comes by reconciliation."""

INTRODUCTION_RECORDS_MAX = 64
"""Records read of what a stranger says of itself: a profile, and as many admissions as a large
federation's quorum."""

EXPIRE_SLICE = 500
"""Records forgotten in one tick: some ten milliseconds, between which others are served."""

EXPIRE_INTERVAL_S = 1
"""Time between two slices of forgetting."""

RECORDS_LIVE_MAX = 5_000_000
"""Live records after which a node takes in no more and alerts its operator: what a small machine
holds. See docs/decisions/0003 for why this is the only quota on what others wrote."""

AUTHOR_LIVE_MAX = 4_500_000
"""Live records after which a node signs no new ones for its own people: the rest of the room is for
identity records and withdrawals, and for what others wrote."""

AUTHOR_KEYS_MAX = 100_000
"""Keys whose records of the last hour are counted; beyond it idle ones are forgotten first."""

AUTHOR_KEY_RECORDS_MAX = 600
"""Records one key may author through its node in a window: an import by hand of a whole catalogue
fits; a program gone wrong is stopped within the hour."""

AUTHOR_KEY_WINDOW_S = 3_600
"""The window of `AUTHOR_KEY_RECORDS_MAX`. A coop's own node key is not counted: it imports."""

POINTS_PROVEN = 20.0
"""Score lost by what no honest node sends: bytes that are no record, a signature that is none, a
broken frame."""

POINTS_PER_CALL_MAX = 60.0
"""Most score lost by one message: one bad batch is one act."""


# --- store and search ---------------------------------------------------------------------------

STORE_BUSY_S_MAX = 2.0
"""Wait for another program that holds a database; `node.lock` keeps a second node out already."""

STORE_CACHE_KIB = 32_768
"""Page cache of the writing connection: the upper levels of every index at a million records."""

SEARCH_CACHE_KIB = 8_192
"""Page cache of one reading connection; what it reads lies in the mapped file anyway."""

STORE_MMAP_BYTES = 1 << 30
"""Part of the file that readers map. Mapped pages belong to the system and are given back to it."""

STORE_WAL_PAGES = 4_096
"""Pages (16 MiB) in the write-ahead log before it is moved into the file: a page that changes often
is then moved once. A quarter costs a fifth more an insert at a million records."""

STORE_WAL_BYTES_MAX = 64 * 1024 * 1024
"""What is left of the log after a big transaction."""

STORE_BLOCK_CACHE_MAX = 256
"""Blocks of sealing keys kept at hand, 2 KiB each."""

STORE_KEYS_FRESH_MAX = 65_536
"""Entries in the young half of the key index. Its pages (about 350) stay hot, and each entry is
moved once, in key order, into the old half."""

STORE_KEYS_SLICE = 2_048
"""Fewest entries moved to the old half at a time."""

STORE_INDEX_BATCH = 256
"""Records that wait for the word index at most before a commit indexes them: one record at a time
costs the index five times as much."""

STORE_SCRUB_ERASURES = 4_096
"""Erasures after which the log is cut without waiting for the next `maintain`."""

STORE_PURGE_PAGES = 64
"""Index pages rewritten in one slice of removing the words of erased records: some milliseconds."""

STORE_SIGNERS_MAX = 65_536
"""Pairs of key and author known to be noted already: eight bytes of hash each, 4 MiB in all."""

STORE_ABSENT_MAX = 8_192
"""Ids just found absent, so that `put` need not look again."""

SEARCH_STEMS_MAX = 65_536
"""Stems remembered for a language: a year of offers uses some 40,000 words."""

SEARCH_CELLS_MAX = 8_192
"""Cells whose words are remembered: every inhabited one of a region, some 400 bytes each."""

SEARCH_CODE_WORDS_MAX = 4_096
"""Codes (categories, audiences, …) whose words are remembered."""

SEARCH_WORD_CHARS_MAX = 40
"""Letters of a word that count; the longest ordinary French word has 25."""

SEARCH_WORDS_MAX = 1_000
"""Words of a record that are indexed: four thousand characters have about 700."""

SEARCH_TEXT_CHARS_MAX = 1_000
"""Characters of a query's text: a pasted paragraph, of which the first words count."""

SEARCH_UNITS_MAX = 12
"""Words of a query that count."""

SEARCH_ALTERNATIVES_MAX = 24
"""Synonyms and categories that one word of a query may stand for."""

SEARCH_VALUES_MAX = 64
"""Values of one condition."""

SEARCH_CODES_MAX = 200
"""Categories that one category may stand for, with all below it."""

SEARCH_LIMIT_MAX = 200
"""Results on a page."""

SEARCH_OFFSET_MAX = 10_000
"""Results that can be paged past; who needs more wants an export."""

SEARCH_COUNT_MAX = 500
"""Matches that are counted; beyond it an answer says "more than"."""

SEARCH_CANDIDATES_MAX = 240
"""Matches that are read and ranked for one page: reading one costs about 15 microseconds."""

SEARCH_OCCURRENCES_MAX = 1_500
"""Occurrences of a recurring offer that are stepped through: four years of days."""

SEARCH_TERMS_MAX = 600
"""Words of the index that a misspelt word is compared with."""

SEARCH_COMMUNES_MAX = 50
"""Communes of one name that are told apart; France has eleven named Saint-Sauveur."""

SYNONYM_GROUPS_MAX = 5_000
"""Groups in a list of synonyms; the one shipped has some 150."""

SYNONYM_FILE_BYTES_MAX = 1_048_576
"""A list of synonyms, which people write by hand."""

STORE_PURGE_S = 86_400
"""Words of erased records stay in the word index, unfindable, at most this long."""

# --- network ------------------------------------------------------------------------------------

ADDRESS_CHARS_MAX = 512
"""One multiaddress as text; a relayed one with a long host name takes about 400."""

ADDRESSES_PER_PEER_MAX = 16
"""Addresses remembered of one node: a profile announces at most 8, as many again were observed."""

PEERS_KEPT_MAX = 512
"""Nodes remembered to be dialled; a federation has at most 300."""

CONNECTED_TARGET = 24
"""Nodes the driver keeps connections to; gossip needs 6 in its mesh, the others are reserves."""

CONNECTIONS_MAX = 128
"""Connections at once. Each costs about six tasks and 40 KiB."""

CONNECTIONS_PER_ADDRESS_MAX = 16
"""Inbound connections at once from one address: several coops may share a host or a NAT."""

CONNECTIONS_PER_PEER_MAX = 2
"""Two nodes that dial each other at the same moment have two; of more the oldest is closed."""

CONNECTION_OPENS_RATE = 4.0
CONNECTION_OPENS_BURST = 64.0
"""New connections a second from one address, and how many at once before that counts: a handshake
costs about 3 ms of CPU, a whole federation behind one NAT reconnects after a power cut."""

HANDSHAKES_MAX = 32
HANDSHAKES_PER_ADDRESS_MAX = 16
"""Connections at once that have not proven a key yet; they are cut off after HANDSHAKE_S."""

HANDSHAKE_S = 10.0
"""Time a connection has for its handshake; a slow mobile link needs about 2 s."""

DIAL_S = 15.0
"""Time one address has to be reached and to shake hands."""

RESOLVE_S = 5.0
"""Time one host name has to be resolved."""

NEGOTIATE_S = 10.0
"""Time a new stream has to name its protocol."""

NEGOTIATE_BYTES_MAX = 1_024
"""One line of protocol negotiation; a protocol's name takes less than 100."""

STRANGERS_MAX = 8
"""Nodes outside the federation that may be connected at once, to ask to join."""

STRANGER_S = 30.0
"""Time a stranger has; a request to join takes under one."""

STREAMS_PER_PEER_MAX = 64
"""Streams a peer may hold open to us at once; a busy one uses 4."""

STREAMS_PER_STRANGER_MAX = 4
"""The same for a stranger: identify, ping, and a request to join."""

STREAM_OPENS_RATE = 50.0
STREAM_OPENS_BURST = 300.0
"""Streams a peer may open a second, and at once before that counts."""

MUXER_BYTES_MAX = 8 * 1_048_576
"""Bytes one connection may have waiting unread in our memory. A peer that ignores the flow control
could otherwise fill it; 8 streams at the full window fit."""

MUXER_WINDOW_BYTES = 1_048_576
"""Flow control window of a stream: 100 Mbit/s at 80 ms of delay."""

GOSSIP_RPC_BYTES_MAX = 262_144
"""One pubsub RPC: up to three batch messages and control."""

GOSSIP_BYTES_RATE = 1_048_576.0
GOSSIP_BYTES_BURST = 16 * 1_048_576.0
"""Gossip a peer may send a second, and in one burst, before we read more slowly."""

GOSSIP_MESSAGES_RATE = 200.0
GOSSIP_MESSAGES_BURST = 4_000.0
"""The same in messages: one costs about 2 ms of CPU here."""

GOSSIP_QUEUE_MAX = 4_096
"""Outgoing RPCs that wait for one slow peer; more are dropped and reconciled later."""

GOSSIP_QUEUE_BYTES_MAX = 16 * 1_048_576
"""The same in bytes: 4,096 messages of 64 KiB would be a quarter of a gigabyte for one peer."""

GOSSIP_CACHE_BYTES_MAX = 64 * 1_048_576
"""Bytes of recent messages kept to be asked for; beyond it messages are only forwarded."""

GOSSIP_REPLAY_S = 60.0
"""Recent messages are sent to a peer that subscribes, and not again before this has passed."""

GOSSIP_SEEN_S = 300.0
GOSSIP_SEEN_MAX = 65_536
"""How long, and how many, message ids are remembered to recognise duplicates."""

GOSSIP_ANNOUNCE_S = 0.2
"""Announcements wait so long to go out together: a topic's name is longer than two ids. js-libp2p
reads ten announcements a second."""

GOSSIP_ASK_S = 0.15
"""What was announced is asked for so much later: mostly it comes by itself by then."""

GOSSIP_LAZY_PEERS = 2
"""Peers outside the mesh that a heartbeat tells of the last messages."""

GOSSIP_WAYS_BEATS = 10
GOSSIP_WAYS_MAX = 16_384
"""Heartbeats for which it is remembered who has which message, and of how many messages."""

GOSSIP_CONTROL_IDS_MAX = 512
"""Message ids taken from one IHAVE or IWANT."""

GOSSIP_IWANT_SENDS_MAX = 3
"""Times one message is sent to the same peer on request (GossipSub 1.1, gossip_retransmission)."""

GOSSIP_IWANT_BYTES_MAX = 1_048_576
"""Bytes answered to one peer's IWANTs between two heartbeats; a small request must not cause an
answer ten thousand times its size."""

FRAMES_WRITE_BYTES = 65_536
"""Bytes handed to the muxer at once: 9 µs of CPU a record against 50 µs in 4 KiB writes."""

STREAM_STALL_S = 60.0
"""How long a write waits for the peer to take anything."""

STREAM_IDLE_S = 120.0
"""How long a read waits for the peer to say anything."""

STREAM_RESET_S = 1.0
"""How long ending a stream may take."""

LIVENESS_S = 15.0
PING_S = 5.0
"""Each connection is probed this often; any byte that comes up to so long after it is an answer."""

PROBES_MISSED_MAX = 2
"""A connection is closed after so many probes in a row without a byte. One is no proof: a node that
works off a backlog on a busy machine can be silent for ten seconds."""

REDIAL_S_MIN = 1.0
REDIAL_S_MAX = 300.0
"""Pause after a failed dial, doubled each time, with jitter of a quarter."""

DIALS_AT_ONCE = 8
"""Dials under way at the same time."""

SCORE_HALF_LIFE_S = 600.0
"""Points against a peer halve in this time: a faulty version is forgiven an
hour after its repair."""

SCORE_BLOCK = 100.0
"""Points at which a peer is disconnected and blocked."""

BLOCK_S = 600.0
BLOCK_S_MAX = 86_400.0
"""How long the first block lasts, and the longest after repeated ones."""

STANDINGS_MAX = 4_096
"""Keys whose standing is remembered."""

ADDRESSES_REMEMBERED_MAX = 4_096
"""Network addresses whose rate of new connections is remembered."""

RESTART_S_MIN = 0.5
RESTART_S_MAX = 60.0
"""Pause before a host that died is started again, doubled each time within RESTART_CALM_S."""

RESTART_CALM_S = 300.0
"""A host that ran this long starts its count of faults anew."""

CLOSE_S = 3.0
"""How long shutting the host down may take before it is cut off."""

RELAY_MESSAGE_BYTES_MAX = 4_096
"""One message of the relay protocol (the standard's bound)."""

RELAY_RESERVATIONS_MAX = 64
RELAY_RESERVATION_S = 3_600.0
"""Places a serving relay gives, and how long one lasts without being renewed."""

RELAY_CIRCUITS_MAX = 32
RELAY_CIRCUITS_PER_PEER_MAX = 8
"""Circuits at once through a relay, and of one node in either direction."""

RELAY_BYTES_MAX = 128 * 1_048_576
RELAY_CIRCUIT_S = 7_200.0
RELAY_BYTES_RATE = 1_048_576.0
RELAY_IDLE_S = 120.0
"""Bytes, seconds, bytes a second and silence after which a circuit ends: a first reconciliation of
100,000 records fits into one, and a relay's line of 10 Mbit/s carries it. Nodes ping every 20 s."""

RELAYS_USED = 2
RELAY_LOOK_S = 5.0
RELAY_ASK_AGAIN_S = 600.0
"""Relays at which a node keeps a place, how often it looks whether it should ask for one, and when
it asks a node again that gave none."""

PEERS_ASK_AGAIN_S = 60.0
PEERS_ASKED_S = 10.0
PEERS_ANSWER_MAX = 64
"""How often others are asked which addresses they know, and time and entries of one answer."""

# --- api, import, command line ------------------------------------------------------------------

# A file to import is held in memory while it is read: the whole national list of services is 60 MB.
IMPORT_BYTES_MAX = 128 * 1024 * 1024
# Twice the services of the national data·inclusion list.
IMPORT_ROWS_MAX = 500_000
# A cell of a table; the longest real one is a description of 10,000 characters.
IMPORT_CELL_CHARACTERS_MAX = 65_536
# Rows written in one transaction: large enough for speed, small enough that others get their turn.
IMPORT_BATCH_ROWS = 200
# Faulty rows that are told one by one; beyond it they are only counted.
IMPORT_FAULTS_TOLD_MAX = 1_000
# A body of the local API other than a file to import: sixteen of the largest records.
API_BODY_BYTES_MAX = 256 * 1024
# What is read of a body after its answer is known, and thrown away, so that the connection can go
# on: as much as the largest body that is ever taken, in the time in which a local program sends it.
API_UNREAD_BYTES_MAX = IMPORT_BYTES_MAX
API_UNREAD_S_MAX = 5.0
# Rows of a list in one answer of the local API.
API_ROWS_MAX = 1_000
# First-seen times kept for measuring how fast records spread.
ARRIVALS_MAX = 200_000
# Keys held for people and names in the register; a coop has at most 100,000 members.
REGISTER_ROWS_MAX = 200_000
# What transfers were for, at some 200 bytes each.
MEMOS_MAX = 5_000_000
# Invitations open at the same time.
INVITATIONS_MAX = 256
# A stopped node has five seconds: one for the API, one for the streams, the rest for the database.
STOP_S_MAX = 5.0
# Waiting for a peer during `federation join`, in all.
JOIN_S_MAX = 45.0
# Frames of the join protocol: a founding document and the identity records of the inviter.
JOIN_FRAME_BYTES_MAX = 256 * 1024
JOIN_FRAMES_MAX = 64
# Attempts with a wrong token that one stranger may make in an hour, and all strangers together.
JOIN_REFUSALS_PER_PEER_MAX = 5
JOIN_REFUSALS_MAX = 200
