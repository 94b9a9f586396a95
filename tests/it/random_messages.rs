//! Messages at random to every RPC: of the right types with odd values, and plain
//! noise. Whatever comes, there is an answer or a refusal, and the server goes on.

use std::{cell::Cell, collections::HashMap, time::Duration};

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use prost::{Message, encoding::encode_varint};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet, field_descriptor_proto::Type,
};
use tidings::grpc::{DESCRIPTOR, MOUNTED};
use tokio::{runtime::Runtime, time::timeout};
use tonic::Code;

use super::support::{api::event, raw_grpc::first, refusal::Refusal, server::TestServer};

/// A call that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(30);

/// RPCs that are mounted beside the contract's; their messages are texts.
const SUPPORTING: [&str; 4] = [
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// Values that get a message past the first checks, or nearly.
const TEXTS: [&str; 20] = [
    "",
    "a",
    "*",
    "a.*",
    "name",
    "default",
    "webhook-name",
    "http://127.0.0.1:9/",
    "https://[::1]:9/x?y#z",
    "00000000-0000-4000-8000-000000000001",
    "{}",
    r#"{"a":[1,"\ud83d\ude00",9007199254740993]}"#,
    r#"{"a":1e999,"a":"\ud800"}"#,
    r##"{"$ref":"#","pattern":"(a+)+$","minimum":-1e300}"##,
    "/a/0/~1",
    "***",
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "X-Header",
    "a\r\nb\0c",
    "\u{1f600}\u{202e}",
];

/// What a message is made of: bytes that come one after the other, then zeros.
struct Entropy<'a>(&'a [u8]);

impl Entropy<'_> {
    fn next(&mut self) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *byte
    }

    fn number(&mut self) -> u64 {
        match self.next() {
            small @ 0..=199 => u64::from(small % 12),
            200..=219 => u64::MAX - u64::from(self.next()),
            220..=239 => (1 << 31) - 1 + u64::from(self.next() % 3),
            _ => (0..8).fold(0, |number, _| number << 8 | u64::from(self.next())),
        }
    }

    fn text(&mut self) -> Vec<u8> {
        match self.next() {
            0..=199 => TEXTS[usize::from(self.next()) % TEXTS.len()].as_bytes().to_vec(),
            200..=229 => "x".repeat(usize::from(self.next()) * 40).into_bytes(),
            _ => (0..self.next() % 8).map(|_| self.next()).collect(),
        }
    }
}

/// The messages of the contract, by name.
struct Contract {
    messages: HashMap<String, DescriptorProto>,
    /// Path and request type of each RPC.
    methods: Vec<(String, String)>,
}

impl Contract {
    fn new() -> Self {
        let set = FileDescriptorSet::decode(DESCRIPTOR).expect("a descriptor set");
        let (mut messages, mut methods) = (HashMap::new(), Vec::new());
        for file in &set.file {
            for message in &file.message_type {
                collect(&format!(".{}", file.package()), message, &mut messages);
            }
            for service in &file.service {
                let name = format!("{}.{}", file.package(), service.name());
                for method in service.method.iter().filter(|_| MOUNTED.contains(&&*name)) {
                    let path = format!("/{name}/{}", method.name());
                    methods.push((path, method.input_type().to_owned()));
                }
            }
        }
        assert!(methods.len() >= 20, "{methods:?}");
        methods.extend(SUPPORTING.map(|path| (path.to_owned(), String::new())));
        Self { messages, methods }
    }

    /// A message of a type; texts in the first fields where the type is not known.
    fn message(&self, name: &str, entropy: &mut Entropy<'_>, levels: u8) -> Vec<u8> {
        let mut message = Vec::new();
        let Some(described) = self.messages.get(name) else {
            let number = 1 + i32::from(entropy.next() % 7);
            push_bytes(&mut message, number, &entropy.text());
            return message;
        };
        for field in &described.field {
            let count = match entropy.next() {
                0..=89 => 0,
                90..=239 => 1,
                _ => usize::from(entropy.next() % 4),
            };
            for _ in 0..count {
                self.push_field(&mut message, field, entropy, levels);
            }
        }
        message
    }

    fn push_field(
        &self,
        message: &mut Vec<u8>,
        field: &FieldDescriptorProto,
        entropy: &mut Entropy<'_>,
        levels: u8,
    ) {
        match field.r#type() {
            Type::Message if levels == 0 => {}
            Type::Message => {
                let inner = self.message(field.type_name(), entropy, levels - 1);
                push_bytes(message, field.number(), &inner);
            }
            Type::String | Type::Bytes => push_bytes(message, field.number(), &entropy.text()),
            Type::Double | Type::Fixed64 | Type::Sfixed64 => {
                push_key(message, field.number(), 1);
                let doubles = [0.0, 1.5, -1.0, f64::NAN, f64::INFINITY, 1e300];
                let double = doubles[usize::from(entropy.next()) % doubles.len()];
                message.extend(double.to_le_bytes());
            }
            Type::Float | Type::Fixed32 | Type::Sfixed32 => {
                push_key(message, field.number(), 5);
                message.extend([0; 4].map(|_: u8| entropy.next()));
            }
            _ => {
                push_key(message, field.number(), 0);
                encode_varint(entropy.number(), message);
            }
        }
    }
}

fn collect(scope: &str, message: &DescriptorProto, to: &mut HashMap<String, DescriptorProto>) {
    let name = format!("{scope}.{}", message.name());
    message.nested_type.iter().for_each(|nested| collect(&name, nested, to));
    to.insert(name, message.clone());
}

fn push_key(to: &mut Vec<u8>, number: i32, wire_type: u64) {
    let number = u64::try_from(number).expect("a field number");
    encode_varint(number << 3 | wire_type, to);
}

fn push_bytes(to: &mut Vec<u8>, number: i32, bytes: &[u8]) {
    push_key(to, number, 2);
    encode_varint(bytes.len() as u64, to);
    to.extend(bytes);
}

#[test]
fn every_rpc_answers_or_refuses_whatever_it_is_sent() {
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(TestServer::start());
    let contract = Contract::new();
    let answered = Cell::new(0);
    let noise = prop::collection::vec(any::<u8>(), 0..60);
    let entropy = prop::collection::vec(any::<u8>(), 0..300);
    let cases = (any::<prop::sample::Index>(), entropy, prop::option::weighted(0.2, noise));
    let config = Config { cases: 1_500, failure_persistence: None, ..Config::default() };
    let ended = TestRunner::new(config).run(&cases, |(method, entropy, noise)| {
        let (path, input) = &contract.methods[method.index(contract.methods.len())];
        let mut message = contract.message(input, &mut Entropy(&entropy), 5);
        message.extend(noise.unwrap_or_default());
        let call = first(&server.channel, path, vec![message]);
        match runtime.block_on(async { timeout(DEADLINE, call).await }) {
            Err(_) => return Err(TestCaseError::fail(format!("{path} hangs"))),
            Ok(Ok(_)) => answered.set(answered.get() + 1),
            Ok(Err(status)) => {
                let ours = [Code::Unknown, Code::Internal, Code::DataLoss, Code::Unavailable];
                prop_assert!(!ours.contains(&status.code()), "{}: {:?}", path, status);
                if !SUPPORTING.contains(&&**path) {
                    // It has a reason that the contract knows.
                    Refusal::of(&status);
                }
            }
        }
        Ok(())
    });
    ended.unwrap_or_else(|failure| panic!("{failure}"));
    let answered = answered.get();
    assert!(answered > 50, "only {answered} messages passed the checks");
    runtime.block_on(async {
        assert!(!server.publish(event("still.works", "{}")).await.duplicate);
        server.stop().await;
    });
}
