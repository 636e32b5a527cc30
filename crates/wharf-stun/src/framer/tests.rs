use super::*;
use crate::{Class, MessageType, Method, TransactionId, Writer, attribute::Data};

fn message(data: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 128];
    let ty = MessageType {
        method: Method::SEND,
        class: Class::Indication,
    };
    let mut writer = Writer::new(&mut buffer, ty, TransactionId([3; 12])).expect("room");
    writer.push(&Data(data)).expect("room");
    writer.finish().to_vec()
}

fn channel_data(data: &[u8]) -> Vec<u8> {
    let mut bytes = ChannelData::header(0x4fff, data.len() as u16).to_vec();
    bytes.extend(data);
    bytes.resize(4 + padded(data.len()), 0);
    bytes
}

#[test]
fn s14_one_byte_at_a_time() {
    let framer = Framer::new(128);
    let stream = [message(b"hello"), channel_data(b"12345"), message(b"")].concat();
    let mut buffer = Vec::new();
    let mut count = 0;
    for byte in stream {
        let Step::Need(need) = framer.step(&buffer).expect("no error") else {
            panic!("a frame was left");
        };
        assert!(need > 0);
        buffer.push(byte);
        if let Step::Frame { frame, consumed } = framer.step(&buffer).expect("no error") {
            assert_eq!(need, 1);
            assert_eq!(consumed, buffer.len());
            match (count, frame) {
                (0, Frame::Stun(bytes)) => assert_eq!(bytes, message(b"hello")),
                (1, Frame::ChannelData(channel)) => {
                    assert_eq!(
                        channel,
                        ChannelData {
                            number: 0x4fff,
                            data: b"12345"
                        }
                    );
                }
                (2, Frame::Stun(bytes)) => assert_eq!(bytes, message(b"")),
                _ => panic!("{count}: {frame:?}"),
            }
            count += 1;
            buffer.clear();
        }
    }
    assert_eq!((count, buffer.len()), (3, 0));
}

#[test]
fn s14_the_need_leads_to_the_frame() {
    let framer = Framer::new(128);
    for frame in [message(b"hello"), channel_data(b"12345"), channel_data(b"")] {
        let mut have = 0;
        let consumed = loop {
            match framer.step(&frame[..have]).expect("no error") {
                Step::Need(need) => have += need,
                Step::Frame { consumed, .. } => break consumed,
            }
        };
        assert_eq!((have, consumed), (frame.len(), frame.len()));
    }
}

#[test]
fn t67_padding_is_consumed_and_not_relayed() {
    for len in 0..=9 {
        let data = &b"123456789"[..len];
        let stream = [channel_data(data), channel_data(b"next")].concat();
        let frame = Frame::ChannelData(ChannelData {
            number: 0x4fff,
            data,
        });
        let step = Framer::new(64).step(&stream);
        assert_eq!(
            step,
            Ok(Step::Frame {
                frame,
                consumed: 4 + padded(len)
            })
        );
    }
}

#[test]
fn t68_a_stream_of_something_else_ends_at_once() {
    for first in 0..=u8::MAX {
        let input = [first];
        let step = Framer::new(64).step(&input);
        match first {
            0..=3 | 64..=79 => assert_eq!(step, Ok(Step::Need(3))),
            _ => assert_eq!(step, Err(FrameError::FirstByte(first))),
        }
    }
    let framer = Framer::new(64);
    assert_eq!(framer.step(b"\0\x01\0\x07"), Err(FrameError::Length(7)));
    assert_eq!(framer.step(b"\0\x01\0\x08\x21"), Ok(Step::Need(23)));
    assert_eq!(
        framer.step(b"\0\x01\0\x08\x21\x13"),
        Err(FrameError::NoCookie)
    );
}

#[test]
fn a_frame_has_a_limit() {
    for max in 0..200 {
        let framer = Framer::new(max);
        for frame in [message(b"hello"), channel_data(b"12345")] {
            let len = frame.len();
            let error = (len > max).then_some(FrameError::TooLong { len, max });
            assert_eq!(framer.step(&frame).err(), error);
            // Known before the frame has arrived.
            assert_eq!(framer.step(&frame[..4]).err(), error);
        }
    }
}

#[test]
fn t60_channel_numbers_of_rfc_5766() {
    let framers = [Framer::new(128), Framer::new(128).rfc5766_channels()];
    for first in 0..=255_u8 {
        let frame = [first, 0, 0, 1, b'x', 0, 0, 0];
        let is_channel = framers.map(|framer| {
            matches!(
                framer.step(&frame),
                Ok(Step::Frame {
                    frame: Frame::ChannelData(ChannelData { data: b"x", .. }),
                    consumed: 8
                })
            )
        });
        let expected = [(64..=79).contains(&first), (64..=127).contains(&first)];
        assert_eq!(is_channel, expected, "{first}");
    }
}
