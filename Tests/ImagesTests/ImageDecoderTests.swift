import Foundation
import TestSupport
import Testing

@testable import Foundations
@testable import Images

@Suite struct ImageDecoderTests {
  @Test func everyKindOfFileDecodesToPillowsPixels() throws {
    let golden: [ImageGolden.Decoded] = try ImageGolden.load("decoded.json")
    #expect(golden.count > 90)
    for expected in golden {
      let image = try ImageDecoder.decode(
        path: ImageGolden.folder.appendingPathComponent(expected.file).path)
      #expect(image.width == expected.width && image.height == expected.height, "\(expected.file)")
      guard image.pixels.count == expected.pixels.count else { continue }
      let largest = zip(image.pixels, expected.pixels).map { abs(Int($0) - Int($1)) }.max()!
      // Pillow rounds halves to even here, which only an even largest value brings about.
      let allowed = expected.file == "pnm-5-maximum-100.pgm" ? 1 : 0
      #expect(largest <= allowed, "\(expected.file) differs by up to \(largest)")
    }
  }

  @Test func theContentAndNotTheNameSaysWhatAFileIs() throws {
    let folder = TemporaryFolder()
    try folder.write("face.png", ImageGolden.bytes("jpeg-444.jpg"))
    #expect(
      try ImageDecoder.decode(path: folder.path + "/face.png")
        == ImageDecoder.decode(bytes: ImageGolden.bytes("jpeg-444.jpg"), name: "jpeg"))
  }

  @Test(arguments: [
    "jpeg-444.jpg", "jpeg-420.jpg", "jpeg-progressive.jpg", "jpeg-grey.jpg", "jpeg-restarts.jpg",
    "jpeg-scans.jpg", "jpeg-arithmetic.jpg", "jpeg-cmyk.jpg", "png-rgb-8.png", "png-rgb-16.png",
    "png-rgba-8-interlaced.png", "png-xmp-5-after-orientation.png", "pnm-4.pbm", "pnm-6.ppm",
    "pnm-6-maximum-1023.ppm", "pnm-3.ppm",
  ])
  func aFileCutShortAnywhereIsAnErrorThatNamesIt(file: String) throws {
    let whole = try ImageGolden.bytes(file)
    // The last byte of a text file is white space that nobody misses; of its last number's digits
    // some may be cut off unnoticed. The marker that ends a JPEG nobody misses either.
    let free = file == "pnm-3.ppm" ? 4 : Self.endMarker(of: file)
    for length in 0..<whole.count - max(free, 1) {
      do {
        _ = try ImageDecoder.decode(bytes: Array(whole[..<length]), name: "some/face")
        Issue.record("\(length) of \(whole.count) bytes of \(file) decoded")
      } catch let error as ImageError {
        #expect(error.description.hasPrefix("some/face: "))
        #expect(!error.description.contains("\n"))
      }
    }
  }

  /// Bytes of a marker that only says that the picture ends. An arithmetic decoder can't tell a
  /// missing end from missing data.
  private static func endMarker(of file: String) -> Int {
    file.hasSuffix(".jpg") && !file.contains("arithmetic") ? 2 : 0
  }

  @Test(arguments: [
    "jpeg-444.jpg", "jpeg-420.jpg", "jpeg-progressive.jpg", "jpeg-grey.jpg", "jpeg-restarts.jpg",
    "jpeg-scans.jpg", "jpeg-cmyk.jpg", "jpeg-orientation-6.jpg",
  ])
  func aJPEGThatOnlyLacksItsEndMarkerIsWhole(file: String) throws {
    let whole = try ImageGolden.bytes(file)
    let picture = try ImageDecoder.decode(bytes: whole, name: file)
    for missing in 1...2 {
      let image = try ImageDecoder.decode(
        bytes: Array(whole.dropLast(missing)), name: "\(file) without \(missing) bytes")
      #expect(image == picture, "\(missing) bytes of \(file) missing")
    }
  }

  /// Whole scans may be missing where the bytes that are there decode without complaint.
  @Test(arguments: ["jpeg-progressive.jpg", "jpeg-scans.jpg"])
  func aFileCutBetweenTwoScansIsDamaged(file: String) throws {
    let whole = try ImageGolden.bytes(file)
    let scans = (0..<whole.count - 1).filter { whole[$0] == 0xFF && whole[$0 + 1] == 0xDA }
    #expect(scans.count > 2)
    for (previous, scan) in zip(scans, scans.dropFirst()) {
      // Before the scan's header, and before the last table that belongs to it.
      let table = (previous..<scan).last { whole[$0] == 0xFF && whole[$0 + 1] == 0xC4 }
      for length in [scan, table ?? scan] {
        let error = try #require(throws: ImageError.self) {
          try ImageDecoder.decode(bytes: Array(whole[..<length]), name: file)
        }
        #expect(error.description == "\(file): damaged JPEG: Premature end of JPEG file")
      }
    }
  }

  @Test func aKindOfJPEGThatCannotBeReadIsCalledByItsName() throws {
    let whole = try ImageGolden.bytes("jpeg-444.jpg")
    let frame = try #require(
      (0..<whole.count - 1).first { whole[$0] == 0xFF && whole[$0 + 1] == 0xC0 })
    for (offset, byte, words) in [
      (4, UInt8(12), "12 bits, only 8"), (1, 0xC3, "0xC3: lossless"), (1, 0xC5, "hierarchical"),
      (6, 0, "a height or width of 0 (DNL"),
    ] {
      var bytes = whole
      bytes[frame + offset] = byte
      let error = try #require(throws: ImageError.self) {
        try ImageDecoder.decode(bytes: bytes, name: "odd.jpg")
      }
      #expect(error.reason == .notAnImage)
      #expect(error.detail.hasPrefix("a kind of JPEG that can't be read: "), "\(error)")
      #expect(error.description.contains(words), "\(error)")
    }
  }

  @Test func changedBytesNeverCrashTheDecoder() throws {
    var generator = SystemRandomNumberGenerator()
    for file in [
      "jpeg-420.jpg", "jpeg-progressive.jpg", "jpeg-orientation-6.jpg", "png-palette-4.png",
      "png-rgba-16-interlaced.png", "png-orientation-6.png", "pnm-2.pgm", "pnm-6.ppm",
    ] {
      let whole = try ImageGolden.bytes(file)
      var limits = DecodingLimits()
      limits.wholePixels = 1 << 16
      limits.maximumPixels = 1 << 20
      var refused = 0
      for _ in 0..<400 {
        var bytes = whole
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          bytes[Int.random(in: 0..<bytes.count, using: &generator)] =
            UInt8.random(in: 0...255, using: &generator)
        }
        do {
          _ = try ImageDecoder.decode(bytes: bytes, name: "changed", limits: limits)
        } catch is ImageError { refused += 1 }
      }
      #expect(refused > 0, "\(file)")
    }
  }

  @Test func whatIsNotAnImageIsCalledSo() throws {
    for (content, part) in [
      ("", "empty"), ("hello, world", "not an image"),
      ("8BPS\0\u{1}......", "Photoshop's PSD is not supported"),
      ("qoif........\u{3}", "QOI is not supported"), ("P7\nWIDTH 3\n", "not an image"),
      ("P", "not an image"),
    ] {
      let error = try #require(throws: ImageError.self) {
        try ImageDecoder.decode(bytes: Array(content.utf8), name: "notes.txt")
      }
      #expect(error.reason == .notAnImage)
      #expect(error.description.contains(part))
    }
    let missing = try #require(throws: ImageError.self) {
      try ImageDecoder.decode(path: "/nowhere/face.jpg")
    }
    #expect(missing.description == "/nowhere/face.jpg: can't be opened: No such file or directory")
  }

  @Test func aHeaderThatClaimsTooMuchIsRefusedBeforeMemoryIsTaken() throws {
    for header in [
      "P6 999999 999999 255\n", "P5 4000000000 4000000000 255\n", "P6 30000 30000 65535\n",
      "P4 1000000 500\n", "P1 20000 20000\n", "P5 99999999999999999999 1 255\n", "P5 0 5 255\n",
      "P5 3 3 70000\n", "P5 -3 3 255\n",
    ] {
      #expect(throws: ImageError.self, "\(header)") {
        try ImageDecoder.decode(bytes: Array(header.utf8), name: "claim")
      }
    }
    // A PNG of 2³¹ − 1 pixels a side, and a JPEG of 65,500 × 65,500.
    var png = try ImageGolden.bytes("png-rgb-8.png")
    png.replaceSubrange(16..<24, with: [0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF])
    var jpeg = try ImageGolden.bytes("jpeg-444.jpg")
    let frame = try #require(
      (0..<jpeg.count - 1).first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
    jpeg.replaceSubrange(frame + 5..<frame + 9, with: [0xFF, 0xDC, 0xFF, 0xDC])
    for bytes in [png, jpeg] {
      #expect(throws: ImageError.self) { try ImageDecoder.decode(bytes: bytes, name: "claim") }
    }
  }

  @Test func hugeImagesAreReducedWhileTheyAreRead() throws {
    // A ramp, so that the reduced picture is the ramp again, sampled at block centres.
    let (width, height) = (1001, 600)
    var pixels = [UInt8]()
    for _ in 0..<height { for x in 0..<width { pixels += [UInt8(x / 4), UInt8(x / 8), 7] } }
    let image = RGBImage(width: width, height: height, pixels: pixels)
    var limits = DecodingLimits()
    limits.wholePixels = 160_000
    let files = [
      try PNGCodec.encode(image), try JPEGCodec.encode(image, quality: 95),
      Array("P6 \(width) \(height) 255\n".utf8) + pixels,
    ]
    for bytes in files {
      let small = try ImageDecoder.decode(bytes: bytes, name: "huge", limits: limits)
      #expect(small.width == 501 && small.height == 300)
      for x in stride(from: 2, to: 498, by: 9) {
        let red = Int(small.pixels[(150 * 501 + x) * 3])
        #expect(abs(red - x / 2) <= 2)
      }
    }
    // An eighth is the least that JPEG itself offers; the rest is averaged.
    limits.wholePixels = 4000
    let tiny = try ImageDecoder.decode(bytes: files[1], name: "huge", limits: limits)
    #expect(tiny.width == 63 && tiny.height == 38)
  }

  @Test func orientationsOfOddDataAreIgnored() throws {
    let whole = try ImageGolden.bytes("jpeg-orientation-6.jpg")
    let upright = try ImageDecoder.decode(
      bytes: ImageGolden.bytes("jpeg-orientation-1.jpg"), name: "upright")
    let tag = try #require(
      (0..<whole.count - 1).first { whole[$0] == 0x12 && whole[$0 + 1] == 0x01 })
    for value: UInt8 in [0, 9, 255] {
      var bytes = whole
      bytes[tag + 8] = value
      #expect(try ImageDecoder.decode(bytes: bytes, name: "odd") == upright)
    }
  }

  /// The orientations in odd packets of XMP; nil: none.
  @Test(
    arguments: [
      ("tiff:Orientation=\"6\"", 6), ("<tiff:Orientation>3</tiff:Orientation>", 3),
      ("tiff:Orientation=\"x\" tiff:Orientation=\"8\"", 8), ("tiff:Orientation=\"0\"", 1),
      ("tiff:Orientation=\"9\"", 1), ("tiff:Orientation='6'", nil), ("tiff:Orientation=\"", nil),
      ("tiff:Orientation = \"6\"", nil), ("tiff:Orientation>", nil), ("tiff:Orientation", nil),
      ("tiff:Orientationtiff:Orientation=\"2\"", 2), ("exif:Orientation=\"6\"", nil), ("", nil),
      ("tiff:Orientation=tiff:Orientation>5", 5),
    ] as [(String, Int?)])
  func theFirstOrientationOfAnXMPPacketCounts(packet: String, expected: Int?) {
    let found = Array(packet.utf8).withUnsafeBytes { ExifOrientation.ofXMP($0)?.rawValue }
    #expect(found == expected)
  }

  /// The bytes of a raw profile; nil: it is none.
  @Test(
    arguments: [
      ("\nexif\n 3\n0A1b\nfF\n", [0x0A, 0x1B, 0xFF]), ("\nexif\n 99\n0a\n", [0x0A]),
      ("\nexif\n 2\n0\na\n", [0x0A]), ("\nexif\n 2\n0a 0b\t\n", [0x0A, 0x0B]),
      ("\nexif\n 2\n0 a\n", nil), ("\nexif\n 2\n0a0\n", nil), ("\nexif\n 2\n0g\n", nil),
      ("\nexif\n", []), ("", []),
    ] as [(String, [UInt8]?)])
  func aRawProfileIsHexadecimal(text: String, expected: [UInt8]?) {
    #expect(ExifOrientation.bytesOfProfile(Array(text.utf8)) == expected)
  }

  /// A text may claim to be an orientation and unpack to anything.
  @Test func textsThatUnpackToMuchAreLeftAside() throws {
    // Forty times three megabytes of zeros, which take three kilobytes each.
    var png = try ImageGolden.bytes("png-xmp-7-compressed-orientation.png")
    let upright = try ImageDecoder.decode(bytes: ImageGolden.bytes("png-rgb-8.png"), name: "plain")
    #expect(try ImageDecoder.decode(bytes: png, name: "turned") != upright)
    let image = RGBImage(
      width: 1 << 14, height: 64, pixels: [UInt8](repeating: 0, count: 3 << 20))
    let zeros = try PNGCodec.encode(image, level: 9)
    let packed = try #require(zeros.firstRange(of: Array("IDAT".utf8)))
    let length = zeros[packed.lowerBound - 4..<packed.lowerBound].reduce(0) { $0 << 8 | Int($1) }
    let content =
      Array("XML:com.adobe.xmp\0\u{1}\0\0\0".utf8)
      + zeros[packed.upperBound..<packed.upperBound + length]
    // Its checksum is wrong, which nobody asks of a chunk that changes no pixel.
    let chunk =
      withUnsafeBytes(of: UInt32(content.count).bigEndian) { Array($0) } + Array("iTXt".utf8)
      + content + [0, 0, 0, 0]
    let end = png.count - 12
    png.insert(contentsOf: (0..<40).flatMap { _ in chunk }, at: end)
    #expect(png.withUnsafeBytes { ExifOrientation.ofPNG($0) } == .transversed)
  }

  @Test func encodedPNGDecodesToTheSamePixels() throws {
    let image = KnownImage.pattern(width: 37, height: 21)
    for level in [0, 1, 6, 9] {
      let bytes = try PNGCodec.encode(image, level: level)
      #expect(try ImageDecoder.decode(bytes: bytes, name: "png") == image)
    }
    let grey = (0..<37 * 21).map { UInt8($0 % 256) }
    let bytes = try PNGCodec.encode(grey: grey, width: 37, height: 21)
    let decoded = try ImageDecoder.decode(bytes: bytes, name: "grey")
    #expect(decoded.pixels == grey.flatMap { [$0, $0, $0] })
  }

  @Test func encodedJPEGIsCloseAndCloserAtHigherQuality() throws {
    let image = try ImageDecoder.decode(bytes: ImageGolden.bytes("png-rgb-8.png"), name: "png")
    func error(_ quality: Int, _ subsampled: Bool) throws -> Double {
      let bytes = try JPEGCodec.encode(image, quality: quality, subsampled: subsampled)
      let decoded = try ImageDecoder.decode(bytes: bytes, name: "jpeg")
      let sum = zip(decoded.pixels, image.pixels).map { abs(Int($0) - Int($1)) }.reduce(0, +)
      return Double(sum) / Double(image.pixels.count)
    }
    #expect(try error(100, false) < 1)
    #expect(try error(95, false) < error(30, false))
    #expect(try error(95, false) < error(95, true))
  }

  @Test func aFileIsWrittenWholeOrNotAtAll() throws {
    let folder = TemporaryFolder()
    let image = KnownImage.pattern(width: 5, height: 4)
    try PNGCodec.write(image, to: folder.path + "/out.png")
    #expect(try ImageDecoder.decode(path: folder.path + "/out.png") == image)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["out.png"])
    #expect(throws: FileError.self) {
      try PNGCodec.write(image, to: folder.path + "/missing/out.png")
    }
  }

  @Test func namesOfAnyBytesAreFoundAndPrinted() throws {
    let folder = TemporaryFolder()
    let name: [UInt8] = [0x66, 0xE9, 0x0A, 0x5C, 0xC3, 0xA9]
    let path = BytePath(folder.path).appending(name)
    let content = try ImageGolden.bytes("pnm-6.ppm")
    let descriptor = path.withCString { open($0, O_WRONLY | O_CREAT, 0o600) }
    try #require(descriptor >= 0)
    #expect(
      content.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) } == content.count)
    close(descriptor)
    #expect(try ImageDecoder.decode(path: path).width == 23)
    #expect(path.description == folder.path + "/f\\xE9\\x0A\\x5Cé")
  }
}
