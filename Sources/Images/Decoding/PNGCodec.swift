import CPNG
import Foundations

/// PNG in memory, decoded and encoded by libpng.
public enum PNGCodec {
  static func decode(_ bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits) throws
    -> RGBImage
  {
    try withMessage(size: Int(RFM_PNG_MESSAGE_SIZE)) { message in
      func check(_ status: rfm_png_status) throws {
        guard status != RFM_PNG_OK else { return }
        throw error(status, message, name: name)
      }
      var reader: OpaquePointer?
      var (wide, high): (Int64, Int64) = (0, 0)
      var interlaced: Int32 = 0
      try check(
        rfm_png_open(
          bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, &reader, &wide,
          &high, &interlaced, message))
      defer { rfm_png_close(reader) }
      let (width, height) = (Int(wide), Int(high))
      try ImageDecoder.check(width: width, height: height, name: name, limits: limits)
      let image: RGBImage
      if interlaced == 0 {
        image = try RowReducer.collect(
          width: width, height: height,
          factor: RowReducer.factor(
            width: width, height: height, wholePixels: limits.wholePixels)
        ) { row in try check(rfm_png_read_row(reader, row, message)) }
      } else {
        // An interlaced file has no rows before its last pass.
        guard width * height <= limits.wholePixels else {
          throw ImageError(
            name: name, reason: .tooLarge,
            detail: "\(width)×\(height) interlaced pixels are more than the allowed"
              + " \(limits.wholePixels); save it without interlacing")
        }
        let pixels = try [UInt8](unsafeUninitializedCapacity: width * height * 3) {
          buffer, initialised in
          try check(rfm_png_read_image(reader, buffer.baseAddress, message))
          initialised = width * height * 3
        }
        image = RGBImage(width: width, height: height, pixels: pixels)
      }
      try check(rfm_png_finish(reader, message))
      return image
    }
  }

  /// Encodes as 8-bit RGB. `level` is zlib's, 0 (none) … 9 (smallest).
  public static func encode(_ image: RGBImage, level: Int = 6) throws -> [UInt8] {
    try encode(
      image.pixels, width: image.width, height: image.height, channels: 3, level: level)
  }

  /// Encodes `values` [height, width] as 8-bit grey.
  public static func encode(grey values: [UInt8], width: Int, height: Int, level: Int = 6) throws
    -> [UInt8]
  {
    try encode(values, width: width, height: height, channels: 1, level: level)
  }

  /// Writes an 8-bit RGB file, whole or not at all.
  /// - Throws: `FileError`.
  public static func write(_ image: RGBImage, to path: String, level: Int = 6) throws {
    try DurableFile.write(encode(image, level: level), to: path)
  }

  private static func encode(
    _ pixels: [UInt8], width: Int, height: Int, channels: Int, level: Int
  ) throws -> [UInt8] {
    precondition(
      pixels.count == width * height * channels,
      "expected \(width)×\(height)×\(channels) values, found \(pixels.count)")
    precondition((0...9).contains(level), "a zlib level is 0 to 9, not \(level)")
    return try withMessage(size: Int(RFM_PNG_MESSAGE_SIZE)) { message in
      var encoded: UnsafeMutablePointer<UInt8>?
      var length = 0
      let status = pixels.withUnsafeBufferPointer {
        rfm_png_encode(
          $0.baseAddress, Int64(width), Int64(height), Int32(channels), Int32(level), &encoded,
          &length, message)
      }
      guard status == RFM_PNG_OK else { throw error(status, message, name: "PNG encoder") }
      defer { rfm_png_free(encoded) }
      return Array(UnsafeBufferPointer(start: encoded, count: length))
    }
  }

  private static func error(
    _ status: rfm_png_status, _ message: UnsafeMutablePointer<CChar>, name: String
  ) -> ImageError {
    switch status {
    case RFM_PNG_TOO_LARGE:
      ImageError(name: name, reason: .tooLarge, detail: String(cString: message))
    case RFM_PNG_OUT_OF_MEMORY:
      ImageError(name: name, reason: .tooLarge, detail: "out of memory")
    default:
      ImageError(name: name, reason: .damaged, detail: "damaged PNG: \(String(cString: message))")
    }
  }
}
