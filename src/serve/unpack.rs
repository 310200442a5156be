//! Unpacks bodies in gzip, deflate or zstd step by step. A small body can expand to a very large one, so unpacking
//! stops when no memory is left.

use std::io::{self, Write};

use axum::http::{HeaderMap, StatusCode, header};
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::problem::Problem;

/// The packed bytes of one step with gzip or deflate. They expand to at most 1032 times as many.
const STEP: usize = 256;

/// The most unpacked bytes of one step with zstd.
const OUTPUT: usize = 128 << 10;

/// The largest window that a zstd frame may ask for, as a power of two: 8 MiB, which the format's specification
/// recommends every decoder to support.
const MAX_WINDOW_LOG: u32 = 23;

/// A body's encoding, with the state of its decoder.
pub enum Unpacker {
    /// No encoding.
    Plain,
    /// gzip, one member or several.
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// deflate, in the format of zlib.
    Deflate(ZlibDecoder<Vec<u8>>),
    /// zstd, one frame or several; the flag says whether a frame has begun.
    Zstd(Box<DCtx<'static>>, bool),
}

impl Unpacker {
    /// Creates the decoder for a request with these headers.
    ///
    /// # Errors
    /// When the encoding is unknown.
    pub fn new(headers: &HeaderMap) -> Result<Self, Problem> {
        let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes().trim_ascii());
        Ok(match encoding.map(<[u8]>::to_ascii_lowercase).as_deref() {
            None | Some(b"" | b"identity") => Self::Plain,
            Some(b"gzip" | b"x-gzip") => Self::Gzip(MultiGzDecoder::new(Vec::new())),
            Some(b"deflate") => Self::Deflate(ZlibDecoder::new(Vec::new())),
            Some(b"zstd") => {
                let mut context = DCtx::create();
                // Fails only for a value out of range.
                let _ = context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG));
                Self::Zstd(Box::new(context), false)
            }
            Some(_) => {
                return Err(Problem::request(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "the content encoding is not supported: send gzip, deflate, zstd or none",
                ));
            }
        })
    }

    /// Unpacks the next bytes of `packed` and leaves the rest there. Returns the unpacked bytes; an empty slice means
    /// that more input is needed.
    ///
    /// # Errors
    /// When the bytes are not valid in this encoding.
    pub fn next<'a: 'b, 'b>(&mut self, packed: &mut &'a [u8], unpacked: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        fn step<'a>(packed: &mut &'a [u8]) -> &'a [u8] {
            let (now, later) = packed.split_at(packed.len().min(STEP));
            *packed = later;
            now
        }
        unpacked.clear();
        match self {
            Self::Plain => return Ok(std::mem::take(packed)),
            Self::Gzip(decoder) => {
                decoder.write_all(step(packed))?;
                decoder.flush()?;
                std::mem::swap(unpacked, decoder.get_mut());
            }
            Self::Deflate(decoder) => {
                decoder.write_all(step(packed))?;
                decoder.flush()?;
                std::mem::swap(unpacked, decoder.get_mut());
            }
            Self::Zstd(context, begun) => {
                unpacked.reserve(OUTPUT);
                let mut input = InBuffer::around(packed);
                let mut output = OutBuffer::around(unpacked);
                let left = context
                    .decompress_stream(&mut output, &mut input)
                    .map_err(|code| io::Error::other(zstd::zstd_safe::get_error_name(code)))?;
                let (taken, made) = (input.pos(), output.pos());
                *packed = &packed[taken..];
                // With no input and no output, zstd returns a size hint for a frame that has not begun.
                if taken + made > 0 {
                    *begun = left != 0;
                }
            }
        }
        Ok(unpacked)
    }

    /// Returns the memory of the decoder itself, in bytes.
    pub fn memory(&self) -> usize {
        match self {
            Self::Plain => 0,
            Self::Gzip(_) | Self::Deflate(_) => 64 << 10,
            Self::Zstd(context, _) => context.sizeof(),
        }
    }

    /// Returns the remaining unpacked bytes.
    ///
    /// # Errors
    /// When the end of the data is missing.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        let missing = || io::Error::new(io::ErrorKind::UnexpectedEof, "its end is missing");
        match self {
            Self::Plain => Ok(Vec::new()),
            Self::Gzip(decoder) => decoder.finish().map_err(|_| missing()),
            Self::Deflate(decoder) => decoder.finish().map_err(|_| missing()),
            Self::Zstd(_, false) => Ok(Vec::new()),
            Self::Zstd(_, true) => Err(missing()),
        }
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    /// Unpacks `packed` in pieces of this many bytes. Also returns the largest output of one step.
    fn unpack(encoding: &'static str, packed: &[u8], at_a_time: usize) -> Result<(Vec<u8>, usize), String> {
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, encoding.parse().unwrap())]);
        let mut unpacker = Unpacker::new(&headers).unwrap();
        let (mut all, mut most) = (Vec::new(), 0);
        for mut piece in packed.chunks(at_a_time.max(1)) {
            loop {
                let mut room = Vec::new();
                let some = unpacker.next(&mut piece, &mut room).map_err(|error| error.to_string())?;
                most = most.max(some.len());
                all.extend_from_slice(some);
                if some.is_empty() && piece.is_empty() {
                    break;
                }
            }
        }
        all.extend_from_slice(&unpacker.finish().map_err(|error| error.to_string())?);
        Ok((all, most))
    }

    fn packed(encoding: &str, text: &[u8]) -> Vec<u8> {
        match encoding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            "deflate" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(text).unwrap();
                encoder.finish().unwrap()
            }
            _ => zstd::encode_all(text, 3).unwrap(),
        }
    }

    #[test]
    fn what_was_packed_comes_out_whatever_pieces_it_comes_in() {
        let text: Vec<u8> = (0..100_000u32).flat_map(|n| (n * n).to_string().into_bytes()).collect();
        for encoding in ["gzip", "deflate", "zstd"] {
            for text in [&text[..], b"x", b""] {
                let packed = packed(encoding, text);
                for at_a_time in [1, 7, 1000, packed.len()] {
                    let (all, _) = unpack(encoding, &packed, at_a_time).unwrap();
                    assert!(all == text, "{encoding}, {at_a_time} at a time");
                }
                if !text.is_empty() {
                    unpack(encoding, &packed[..packed.len() - 1], packed.len()).unwrap_err();
                }
            }
            unpack(encoding, b"nothing of the kind, and long enough for a header", 1000).unwrap_err();
        }
        let twice = [packed("gzip", b"one"), packed("gzip", b"two")].concat();
        assert_eq!(unpack("gzip", &twice, 1000).unwrap().0, b"onetwo");
        let twice = [packed("zstd", b"one"), packed("zstd", b"two")].concat();
        assert_eq!(unpack("zstd", &twice, 1000).unwrap().0, b"onetwo");
    }

    #[test]
    fn a_bomb_comes_out_a_little_at_a_time_and_large_windows_are_refused() {
        let bomb = vec![0; 20 << 20];
        for encoding in ["gzip", "deflate", "zstd"] {
            let (all, most) = unpack(encoding, &packed(encoding, &bomb), usize::MAX >> 1).unwrap();
            assert_eq!(all.len(), bomb.len());
            assert!(most <= 512 << 10, "{encoding}: {most} bytes in one step");
        }
        for (log, fits) in [(23, true), (24, false), (27, false)] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.include_contentsize(false).unwrap();
            encoder.write_all(&bomb).unwrap();
            assert_eq!(unpack("zstd", &encoder.finish().unwrap(), 1 << 20).is_ok(), fits, "{log}");
        }
    }
}
