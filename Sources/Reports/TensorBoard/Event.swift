import Foundations

/// An event of TensorBoard (`tensorflow.Event` of event.proto), as far as it is used here.
struct Event: Equatable, Sendable {
  /// Seconds since 1970.
  var wallTime: Double
  var step: Int
  var content: Content

  enum Content: Equatable, Sendable {
    /// The first event of every file.
    case fileVersion
    /// A process begins to tell of the steps from this one on: whatever earlier files say of them
    /// is void, and readers drop it.
    case start
    case values([Value])
  }

  /// A value with its name (`Summary.Value` of summary.proto).
  struct Value: Equatable, Sendable {
    /// Slashes part it into groups.
    var tag: String
    var content: Content

    enum Content: Equatable, Sendable {
      case scalar(Float)
      /// A PNG file of RGB pixels.
      case image(width: Int, height: Int, png: [UInt8])
      /// Markdown, for the text plugin.
      case text(String)
    }
  }

  /// The record that stands for the event in a file.
  var record: [UInt8] { TensorRecord.framed(encoded) }

  /// `tensorflow.Event`. The numbers of fields and enumerations are those of event.proto,
  /// summary.proto, tensor.proto and tensor_shape.proto in TensorFlow.
  var encoded: [UInt8] {
    var event = ProtocolBuffer()
    event.put(1, double: wallTime)
    event.put(2, integer: Int64(step))
    switch content {
    case .fileVersion: event.put(3, text: "brain.Event:2")
    case .values(let values):
      event.put(5) { summary in
        for value in values { summary.put(1) { value.encode(into: &$0) } }
      }
    case .start: event.put(7) { $0.put(1, integer: 1) }
    }
    return event.bytes
  }
}

extension Event.Value {
  fileprivate func encode(into value: inout ProtocolBuffer) {
    value.put(1, text: tag)
    switch content {
    case .scalar(let number): value.put(2, float: number)
    case .image(let width, let height, let png):
      value.put(4) { image in
        image.put(1, integer: Int64(height))
        image.put(2, integer: Int64(width))
        image.put(3, integer: 3)  // RGB
        image.put(4, bytes: png)
      }
    case .text(let markdown):
      value.put(8) { tensor in
        tensor.put(1, integer: 7)  // DT_STRING
        tensor.put(2) { shape in shape.put(2) { $0.put(1, integer: 1) } }  // [1]
        tensor.put(8, bytes: Array(markdown.utf8))
      }
      value.put(9) { metadata in metadata.put(1) { $0.put(1, text: "text") } }
    }
  }
}

/// A record of a TFRecord file.
enum TensorRecord {
  /// Length, its checksum, the data, their checksum; all little-endian.
  static func framed(_ data: [UInt8]) -> [UInt8] {
    func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
      withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
    let length = bytes(UInt64(data.count))
    return length + bytes(CRC32C.masked(length)) + data + bytes(CRC32C.masked(data))
  }
}
