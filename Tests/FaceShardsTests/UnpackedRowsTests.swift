import Foundation
import TestSupport
import Testing

@testable import FaceShards

@Suite struct UnpackedRowsTests {
  /// Rows of 4 bytes that say which row they are, and how often what was unpacked.
  private final class Source {
    var unpacked: [Range<Int>] = []
    var fails = false

    func read(_ rows: Range<Int>, _ buffer: UnsafeMutableBufferPointer<UInt8>) throws {
      unpacked.append(rows)
      if fails { throw ShardError(file: "x", reason: "damaged") }
      #expect(buffer.count == rows.count * 4)
      for (place, row) in rows.enumerated() {
        for byte in 0..<4 { buffer[place * 4 + byte] = UInt8(row * 4 + byte) }
      }
    }
  }

  private func copy(_ rows: Range<Int>, of kept: UnpackedRows, _ source: Source) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: rows.count * 4)
    try bytes.withUnsafeMutableBufferPointer {
      try kept.copy(rows, into: $0) { try source.read($0, $1) }
    }
    return bytes
  }

  private func expected(_ rows: Range<Int>) -> [UInt8] {
    rows.flatMap { row in (0..<4).map { UInt8(row * 4 + $0) } }
  }

  @Test func rowsOfAChunkAreUnpackedOnce() throws {
    let source = Source()
    let kept = UnpackedRows(count: 10, rowSize: 4, together: 4, cache: .init(room: 1 << 20))
    for row in [7, 0, 9, 3, 4, 8, 1, 2, 6, 5, 0] {
      #expect(try copy(row..<row + 1, of: kept, source) == expected(row..<row + 1))
    }
    #expect(source.unpacked == [4..<8, 0..<4, 8..<10])
    #expect(try copy(2..<10, of: kept, source) == expected(2..<10))
    #expect(source.unpacked.count == 3)
  }

  @Test func aChunkLargerThanABlockIsUnpackedInParts() throws {
    let source = Source()
    let kept = UnpackedRows(
      count: 17, rowSize: 4, together: 10, blockLimit: 16, cache: .init(room: 1 << 20))
    #expect(try copy(0..<17, of: kept, source) == expected(0..<17))
    // Ten rows in three blocks, none larger than 4 rows and none over two chunks.
    #expect(source.unpacked == [0..<4, 4..<8, 8..<10, 10..<14, 14..<17])
  }

  @Test func theRoomIsSharedAndNeverExceeded() throws {
    let cache = UnpackedRows.Cache(room: 64)
    let source = Source()
    let first = UnpackedRows(count: 40, rowSize: 4, together: 4, cache: cache)
    var second: UnpackedRows? = UnpackedRows(count: 40, rowSize: 4, together: 4, cache: cache)
    for row in 0..<40 {
      #expect(try copy(row..<row + 1, of: first, source) == expected(row..<row + 1))
      #expect(try copy(row..<row + 1, of: second!, source) == expected(row..<row + 1))
      #expect(cache.size <= 64)
    }
    #expect(source.unpacked.count == 20, "in order, each chunk of both once")
    second = nil
    #expect(cache.size <= 48, "a shard takes its blocks with it")
    // What is in use stays when others go.
    for row in [0, 4, 0, 8, 0, 12, 0, 16, 0, 20, 0] {
      _ = try copy(row..<row + 1, of: first, source)
    }
    #expect(source.unpacked.filter { $0 == 0..<4 }.count <= 4)
  }

  @Test func whatCouldNotBeReadIsNotKept() throws {
    let source = Source()
    let kept = UnpackedRows(count: 8, rowSize: 4, together: 8, cache: .init(room: 1 << 20))
    source.fails = true
    #expect(throws: ShardError.self) { try copy(3..<4, of: kept, source) }
    source.fails = false
    #expect(try copy(3..<4, of: kept, source) == expected(3..<4))
  }

  // MARK: Shards

  @Test func shardsOfPackedChunksReadTheSameInAnyOrder() throws {
    for (name, together) in [("one-chunk.h5", 6), ("compressed.h5", 4), ("as-written.h5", 1)] {
      let shard = try Shard(reading: ShardFixtures.golden(name))
      #expect(shard.imagesUnpackedTogether == together)
      var bytes = [UInt8](repeating: 0, count: shard.imageSize)
      for row in [5, 0, 3, 3, 1, 4, 2] {
        try bytes.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
        #expect(bytes == KnownImage.pixels(row, height: 8, width: 10))
        shard.close()
      }
    }
  }

  @Test func howToRewriteThemIsSaid() throws {
    let path = ShardFixtures.golden("one-chunk.h5")
    let shard = try Shard(reading: path)
    #expect(shard.masksUnpackedTogether == 4)
    let command = try #require(shard.repacking)
    #expect(
      command == "h5repack -l images:CHUNK=1x8x10x3 -l masks:CHUNK=1x8x10 \(path) \(path).new "
        + "&& mv \(path).new \(path)")
    let lines = try ShardInspection(of: shard).lines
    #expect(
      lines.last
        == "  slow to read in random order: 6 images and 4 masks are unpacked to read one, as a "
        + "chunk holds so many; to store one a chunk: \(command)")
    let warning = try ShardSet(paths: [path]).packedChunksWarning
    #expect(
      warning
        == "\(path): 6 images and 4 masks are unpacked to read one, as a chunk holds so many; "
        + "they are kept unpacked, in 1 MiB of memory a rank; to store one image a chunk: \(command)"
    )

    let plain = try Shard(reading: ShardFixtures.golden("as-written.h5"))
    #expect(plain.repacking == nil)
    #expect(try ShardSet(paths: [plain.path]).packedChunksWarning == nil)
    #expect(try !ShardInspection(of: plain).lines.contains { $0.contains("h5repack") })
  }

  /// The command that is told does what is told of it, where the tool is installed.
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/h5repack")))
  func theCommandRewritesThem() throws {
    let folder = TemporaryFolder()
    let path = folder("it's packed.h5")
    try FileManager.default.copyItem(atPath: ShardFixtures.golden("one-chunk.h5"), toPath: path)
    let shell = Process()
    shell.executableURL = URL(filePath: "/bin/sh")
    shell.arguments = ["-c", try #require(try Shard(reading: path).repacking)]
    try shell.run()
    shell.waitUntilExit()
    #expect(shell.terminationStatus == 0)
    #expect(try folder.contents() == ["it's packed.h5"])
    let shard = try Shard(reading: path)
    #expect(shard.imagesUnpackedTogether == 1 && shard.masksUnpackedTogether == 1)
    #expect(try shard.imageStorage().deflate != nil && shard.labels == [0, 1, 0, 1, 1, 0])
  }
}
