import CTIFF

/// TIFF and BigTIFF in memory, unpacked by libtiff: strips and tiles, interleaved or in planes, of either
/// byte order; of a file with several pictures the first.
///
/// Grey, palettes, RGB, CMYK and YCbCr of 1 to 16 bits, as `TIFFSamples` makes RGB of them. What has no
/// brightness that is agreed upon (floating-point and signed samples, 32 bits, CIE L\*a\*b\*) is refused:
/// Pillow clips it, which leaves white or black areas.
enum TIFFCodec {
  static func decode(_ bytes: UnsafeRawBufferPointer, name: String, limits: DecodingLimits) throws
    -> RGBImage
  {
    try withMessage(size: Int(RFM_TIFF_MESSAGE_SIZE)) { message in
      func check(_ status: rfm_tiff_status) throws {
        guard status != RFM_TIFF_OK else { return }
        throw error(status, message, name: name)
      }
      var reader: OpaquePointer?
      var info = rfm_tiff_info()
      try check(
        rfm_tiff_open(
          bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count,
          limits.libraryMemory, &reader, &info, message))
      defer { rfm_tiff_close(reader) }
      let (width, height) = (Int(info.width), Int(info.height))
      try ImageDecoder.check(width: width, height: height, name: name, limits: limits)
      try requireKnownCompression(info, name: name)
      let orientation = orientation(of: bytes, info)
      let factor = RowReducer.factor(
        width: width, height: height, wholePixels: limits.wholePixels)

      if info.colours == 2 {
        let bands = TIFFBands(info, rowBytes: width * 4, planes: 1)
        try bands.require(within: limits.libraryMemory, name: name)
        return try bands.collect(factor: factor) { top, rows, _, band in
          for left in stride(from: 0, to: width, by: bands.blockWidth) {
            let columns = min(bands.blockWidth, width - left)
            try check(
              rfm_tiff_read_colours(
                reader, Int64(left), Int64(top), Int64(columns), Int64(rows), bands.block, message))
            for row in 0..<rows {
              (band + (row * width + left) * 4).update(
                from: bands.block + row * columns * 4, count: columns * 4)
            }
          }
        } convert: { sources, row in
          for x in 0..<width {
            for c in 0..<3 { row[3 * x + c] = sources[0][4 * x + c] }
          }
        }.oriented(by: orientation)
      }

      let samples = try TIFFSamples(info, name: name)
      let rowBytes = Int(info.row_bytes)
      let planes = info.planes == 2 ? samples.needed : 1
      guard rowBytes >= samples.bytes(inRowOf: width, interleaved: planes == 1) else {
        throw ImageError(
          name: name, reason: .damaged, detail: "damaged TIFF: a row is too short")
      }
      if info.tiled == 0 && planes == 1 {
        // Row by row, however many of them a strip has.
        let source = UnsafeMutablePointer<UInt8>.allocate(capacity: rowBytes)
        source.initialize(repeating: 0, count: rowBytes)
        defer { source.deallocate() }
        var y: Int64 = 0
        return try RowReducer.collect(width: width, height: height, factor: factor) { row in
          try check(rfm_tiff_read_row(reader, y, 0, source, message))
          samples.convert([UnsafePointer(source)], width: width, into: row)
          y += 1
        }.oriented(by: orientation)
      }
      let bands = TIFFBands(info, rowBytes: rowBytes, planes: planes)
      try bands.require(within: limits.libraryMemory, name: name)
      return try bands.collect(factor: factor) { top, rows, plane, band in
        var offset = 0
        for left in stride(from: 0, to: width, by: bands.blockWidth) {
          try check(
            rfm_tiff_read_block(
              reader, Int64(left), Int64(top), Int32(plane), bands.block, message))
          let count = min(bands.blockRowBytes, rowBytes - offset)
          guard count > 0 else { break }
          for row in 0..<rows {
            (band + row * rowBytes + offset).update(
              from: bands.block + row * bands.blockRowBytes, count: count)
          }
          offset += count
        }
      } convert: { sources, row in
        samples.convert(sources, width: width, into: row)
      }.oriented(by: orientation)
    }
  }

  /// The tag 274 in the first directory, else XMP.
  private static func orientation(
    of bytes: UnsafeRawBufferPointer, _ info: rfm_tiff_info
  ) -> ExifOrientation {
    // BigTIFF has wider entries; the library reads those.
    let isBig = bytes[2] == 43 || bytes[3] == 43
    let own =
      isBig ? ExifOrientation(rawValue: Int(info.orientation)) : ExifOrientation(tiff: bytes)
    return own
      ?? .of(exif: nil, xmp: UnsafeRawBufferPointer(start: info.xmp, count: info.xmp_length))
  }

  /// What cameras, scanners and programs write; the library has more, from long ago or for other data.
  private static func requireKnownCompression(_ info: rfm_tiff_info, name: String) throws {
    // None, three of faxes, LZW, JPEG, deflate by two numbers, PackBits, LZMA, Zstandard.
    let known: Set<Int32> = [1, 2, 3, 4, 5, 7, 8, 32946, 32773, 34925, 50000]
    guard known.contains(info.compression) else {
      throw unsupported("its compression (\(info.compression))", name: name)
    }
  }

  static func unsupported(_ what: String, name: String) -> ImageError {
    ImageError(
      name: name, reason: .notAnImage,
      detail: "a kind of TIFF that can't be read: \(what) is not supported; save it with 8 bits a"
        + " sample, RGB or grey, as TIFF or PNG")
  }

  private static func error(
    _ status: rfm_tiff_status, _ message: UnsafeMutablePointer<CChar>, name: String
  ) -> ImageError {
    switch status {
    case RFM_TIFF_OUT_OF_MEMORY:
      ImageError(name: name, reason: .tooLarge, detail: "out of memory")
    default:
      ImageError(name: name, reason: .damaged, detail: "damaged TIFF: \(oneLine(message))")
    }
  }
}

/// A picture in blocks, read a band of them after the other: as many rows as a block has, of each plane.
private final class TIFFBands {
  let width: Int
  let height: Int
  let planes: Int
  let rowBytes: Int
  let blockWidth: Int
  let blockHeight: Int
  let blockRowBytes: Int
  private let blockBytes: Int
  private(set) var block: UnsafeMutablePointer<UInt8>
  private var band: UnsafeMutablePointer<UInt8>?

  /// - Parameter rowBytes: of one plane.
  init(_ info: rfm_tiff_info, rowBytes: Int, planes: Int) {
    width = Int(info.width)
    height = Int(info.height)
    self.planes = planes
    self.rowBytes = rowBytes
    blockWidth = Int(info.block_width)
    blockHeight = min(Int(info.block_height), height)
    blockRowBytes = Int(info.block_row_bytes)
    blockBytes = info.colours == 2 ? 0 : Int(info.block_bytes)
    block = UnsafeMutablePointer<UInt8>.allocate(capacity: 0)
  }

  deinit {
    block.deallocate()
    band?.deallocate()
  }

  /// Takes the memory for a band and a block.
  func require(within limit: Int, name: String) throws {
    let (bytes, overflow) = (rowBytes * planes).multipliedReportingOverflow(by: blockHeight)
    guard !overflow, blockBytes >= 0, bytes <= limit, blockBytes <= limit - bytes,
      blockWidth > 0, blockRowBytes > 0
    else {
      throw ImageError(
        name: name, reason: .tooLarge,
        detail: "blocks of \(blockWidth)×\(blockHeight) pixels need more memory than allowed; save"
          + " it in strips of a few rows, or as PNG")
    }
    block.deallocate()
    // A block of colours has its pixels in 4 bytes, and no more rows than a band.
    block = .allocate(capacity: max(blockBytes, bytes))
    block.initialize(repeating: 0, count: max(blockBytes, bytes))
    band = .allocate(capacity: bytes)
    band!.initialize(repeating: 0, count: bytes)
  }

  /// `read` fills a plane's `rows` rows from `top` on; `convert` makes a row RGB, given that row of
  /// every plane.
  func collect(
    factor: Int,
    read: (_ top: Int, _ rows: Int, _ plane: Int, UnsafeMutablePointer<UInt8>) throws -> Void,
    convert: ([UnsafePointer<UInt8>], UnsafeMutablePointer<UInt8>) -> Void
  ) throws -> RGBImage {
    let band = band!
    var y = 0
    return try RowReducer.collect(width: width, height: height, factor: factor) { row in
      let inBand = y % blockHeight
      if inBand == 0 {
        for plane in 0..<planes {
          try read(
            y, min(blockHeight, height - y), plane, band + plane * blockHeight * rowBytes)
        }
      }
      let sources = (0..<planes).map {
        UnsafePointer(band + ($0 * blockHeight + inBand) * rowBytes)
      }
      convert(sources, row)
      y += 1
    }
  }
}
