import CJPEG

/// JPEG in memory, decoded (libjpeg-turbo, accurate inverse DCT, smooth chroma upsampling) and
/// encoded.
public enum JPEGCodec {
  static func decode(_ bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits) throws
    -> RGBImage
  {
    try withMessage(size: Int(RFM_JPEG_MESSAGE_SIZE)) { message in
      func check(_ status: rfm_jpeg_status) throws {
        guard status != RFM_JPEG_OK else { return }
        throw error(status, message, name: name)
      }
      var reader: OpaquePointer?
      var (width, height): (Int64, Int64) = (0, 0)
      try check(
        rfm_jpeg_open(
          bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, limits.libraryMemory,
          &reader, &width, &height, message))
      defer { rfm_jpeg_close(reader) }
      try ImageDecoder.check(width: Int(width), height: Int(height), name: name, limits: limits)
      var eighths: Int32 = 8
      while eighths > 1,
        Int(width) * Int(height) * Int(eighths * eighths) / 64 > limits.wholePixels
      { eighths /= 2 }
      try check(rfm_jpeg_start(reader, eighths, &width, &height, message))
      return try RowReducer.collect(
        width: Int(width), height: Int(height),
        factor: RowReducer.factor(
          width: Int(width), height: Int(height), wholePixels: limits.wholePixels)
      ) { row in try check(rfm_jpeg_read_row(reader, row, message)) }
    }
  }

  /// Encodes as baseline JPEG. `quality` is 1 … 100; `subsampled` halves chroma in both directions
  /// (4:2:0, what cameras and web sites do), otherwise it is kept whole (4:4:4). The same bytes on
  /// every machine.
  public static func encode(_ image: RGBImage, quality: Int, subsampled: Bool = true) throws
    -> [UInt8]
  {
    precondition((1...100).contains(quality), "JPEG quality is 1 to 100, not \(quality)")
    return try withMessage(size: Int(RFM_JPEG_MESSAGE_SIZE)) { message in
      var encoded: UnsafeMutablePointer<UInt8>?
      var length = 0
      let status = image.pixels.withUnsafeBufferPointer {
        rfm_jpeg_encode(
          $0.baseAddress, Int64(image.width), Int64(image.height), 3, Int32(quality),
          subsampled ? 1 : 0, &encoded, &length, message)
      }
      guard status == RFM_JPEG_OK else { throw error(status, message, name: "JPEG encoder") }
      defer { rfm_jpeg_free(encoded) }
      return Array(UnsafeBufferPointer(start: encoded, count: length))
    }
  }

  private static func error(
    _ status: rfm_jpeg_status, _ message: UnsafeMutablePointer<CChar>, name: String
  ) -> ImageError {
    switch status {
    case RFM_JPEG_TOO_LARGE:
      ImageError(
        name: name, reason: .tooLarge,
        detail: "this JPEG needs more memory than allowed (\(String(cString: message)))")
    case RFM_JPEG_OUT_OF_MEMORY:
      ImageError(name: name, reason: .tooLarge, detail: "out of memory")
    case RFM_JPEG_UNSUPPORTED:
      ImageError(
        name: name, reason: .notAnImage,
        detail: "a kind of JPEG that can't be read: \(String(cString: message)); save it as an "
          + "ordinary JPEG or PNG")
    default:
      ImageError(name: name, reason: .damaged, detail: "damaged JPEG: \(String(cString: message))")
    }
  }
}

/// Room for the text of a C shim's error.
func withMessage<Result>(
  size: Int, _ body: (UnsafeMutablePointer<CChar>) throws -> Result
) throws -> Result {
  let message = UnsafeMutablePointer<CChar>.allocate(capacity: size)
  defer { message.deallocate() }
  message.initialize(repeating: 0, count: size)
  return try body(message)
}

/// A library's text as a part of one line.
func oneLine(_ message: UnsafePointer<CChar>) -> String {
  String(cString: message).split(whereSeparator: \.isWhitespace).joined(separator: " ")
}
