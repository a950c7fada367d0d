import CHEIF

/// HEIF in memory, above all HEIC, as phones write it, decoded by libheif. 10 and 12 bits become 8; of
/// several pictures the primary one, put together from its tiles.
///
/// The container's own turn, mirroring and crop are applied; EXIF and XMP are not asked, as by
/// pillow-heif: writers repeat the turn there, and it would be made twice.
enum HEIFCodec {
  /// Bytes that decoding takes for a pixel: planes in the decoder, planes of all tiles, and RGB.
  private static let bytesPerPixel = 8

  static func decode(_ bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits) throws
    -> RGBImage
  {
    try withMessage(size: Int(RFM_HEIF_MESSAGE_SIZE)) { message in
      func check(_ status: rfm_heif_status) throws {
        guard status != RFM_HEIF_OK else { return }
        throw error(status, message, name: name)
      }
      func check(pixels: Int) throws {
        guard pixels <= limits.libraryMemory / bytesPerPixel else {
          throw ImageError(
            name: name, reason: .tooLarge,
            detail: "\(pixels) pixels of HEIF need more memory than allowed; save it as JPEG")
        }
      }
      func check(width: Int64, height: Int64) throws {
        try ImageDecoder.check(
          width: Int(width), height: Int(height), name: name, limits: limits)
        try check(pixels: Int(width) * Int(height))
      }
      let largest = HEVCPictureSize.largest(in: bytes)
      try check(pixels: largest)
      var reader: OpaquePointer?
      var (width, height): (Int64, Int64) = (0, 0)
      try check(
        rfm_heif_open(
          bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, &reader, &width,
          &height, message))
      defer { rfm_heif_close(reader) }
      try check(width: width, height: height)
      let tiles = HEVCPictureSize.mostTiles(in: bytes)
      guard
        !HEVCPictureSize.isFarMore(tiles: tiles, of: largest, than: Int(width) * Int(height))
      else {
        throw ImageError(
          name: name, reason: .tooLarge,
          detail: "\(tiles) tiles of up to \(largest) pixels for \(width)×\(height) pixels of HEIF;"
            + " save it as JPEG")
      }
      var pixels: UnsafePointer<UInt8>?
      var stride: Int64 = 0
      try check(rfm_heif_decode(reader, &pixels, &stride, &width, &height, message))
      try check(width: width, height: height)
      return try RowReducer.collect(
        width: Int(width), height: Int(height), pixels: pixels!, channels: 3, stride: Int(stride),
        wholePixels: limits.wholePixels)
    }
  }

  private static func error(
    _ status: rfm_heif_status, _ message: UnsafeMutablePointer<CChar>, name: String
  ) -> ImageError {
    let text = oneLine(message)
    return switch status {
    case RFM_HEIF_TOO_LARGE:
      ImageError(
        name: name, reason: .tooLarge,
        detail: "this HEIF needs more memory than allowed (\(text)); save it as JPEG")
    case RFM_HEIF_OUT_OF_MEMORY:
      ImageError(name: name, reason: .tooLarge, detail: "out of memory")
    case RFM_HEIF_UNSUPPORTED:
      ImageError(
        name: name, reason: .notAnImage,
        detail: "a HEIF that can't be read: \(text); save it as JPEG or PNG, or install libheif's"
          + " decoder for it (libheif-plugin-libde265)")
    default: ImageError(name: name, reason: .damaged, detail: "damaged HEIF: \(text)")
    }
  }
}
