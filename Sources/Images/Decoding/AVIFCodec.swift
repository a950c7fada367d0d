import CAVIF

/// AVIF in memory, decoded by libavif. 10 and 12 bits become 8; of a sequence the first picture.
///
/// As in Pillow, the container's own turn and mirroring count first, then EXIF's only by being there
/// (its number is ignored, since the container's says the same by the standard), then XMP's.
enum AVIFCodec {
  /// Bytes that decoding takes for a pixel: three planes, those of 8 bits, and the RGBA made of them.
  private static func bytesPerPixel(depth: Int32) -> Int { depth > 8 ? 13 : 7 }

  static func decode(_ bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits) throws
    -> RGBImage
  {
    try withMessage(size: Int(RFM_AVIF_MESSAGE_SIZE)) { message in
      func check(_ status: rfm_avif_status) throws {
        guard status != RFM_AVIF_OK else { return }
        throw error(status, message, name: name)
      }
      var reader: OpaquePointer?
      var info = rfm_avif_info()
      try check(
        rfm_avif_open(
          bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count,
          Int64(min(limits.maximumPixels, limits.libraryMemory / bytesPerPixel(depth: 8))),
          Int64(limits.maximumSide), &reader, &info, message))
      defer { rfm_avif_close(reader) }
      let (width, height) = (Int(info.width), Int(info.height))
      try ImageDecoder.check(width: width, height: height, name: name, limits: limits)
      guard width * height <= limits.libraryMemory / bytesPerPixel(depth: info.depth) else {
        throw ImageError(
          name: name, reason: .tooLarge,
          detail: "\(width)×\(height) pixels of AVIF need more memory than allowed; save it as JPEG"
        )
      }
      var pixels: UnsafePointer<UInt8>?
      var channels: Int32 = 3
      try check(rfm_avif_decode(reader, &pixels, &channels, message))
      let image = try RowReducer.collect(
        width: width, height: height, pixels: pixels!, channels: Int(channels),
        stride: width * Int(channels), wholePixels: limits.wholePixels)
      return image.oriented(by: orientation(info))
    }
  }

  private static func orientation(_ info: rfm_avif_info) -> ExifOrientation {
    if let turn = ExifOrientation(rawValue: Int(info.orientation)), turn != .upright { return turn }
    let exif = UnsafeRawBufferPointer(start: info.exif, count: info.exif_length)
    if ExifOrientation.ofEXIF(Array(exif)) != nil { return .upright }
    return ExifOrientation.of(
      exif: nil, xmp: UnsafeRawBufferPointer(start: info.xmp, count: info.xmp_length))
  }

  private static func error(
    _ status: rfm_avif_status, _ message: UnsafeMutablePointer<CChar>, name: String
  ) -> ImageError {
    let text = oneLine(message)
    return switch status {
    case RFM_AVIF_TOO_LARGE:
      ImageError(
        name: name, reason: .tooLarge,
        detail: "this AVIF needs more memory than allowed (\(text)); save it as JPEG")
    case RFM_AVIF_OUT_OF_MEMORY:
      ImageError(name: name, reason: .tooLarge, detail: "out of memory")
    case RFM_AVIF_UNSUPPORTED:
      ImageError(
        name: name, reason: .notAnImage,
        detail: "an AVIF that can't be read: \(text); save it as JPEG or PNG")
    default: ImageError(name: name, reason: .damaged, detail: "damaged AVIF: \(text)")
    }
  }
}
