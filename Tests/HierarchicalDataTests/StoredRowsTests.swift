import Foundation
import TestSupport
import Testing

@testable import HierarchicalData

/// Rows read past the library, against what the library reads.
@Suite struct StoredRowsTests {
  let folder = TemporaryFolder()

  /// Rows of which some compress well and some not at all.
  private func values(rows: Int, size: Int) -> [UInt8] {
    var state: UInt32 = 7
    return (0..<rows * size).map { place in
      state = state &* 1_664_525 &+ 1_013_904_223
      return place / size % 3 == 0 ? UInt8(truncatingIfNeeded: place / size) : UInt8(state >> 24)
    }
  }

  private func write(_ name: String, shape: [Int], layout: HDF5Layout) throws -> String {
    let path = folder(name)
    let file = try HDF5File.create(path)
    let count = shape.reduce(1, *)
    try file.write("before", [Int32](0..<50))
    try file.write(
      "rows", values(rows: shape[0], size: shape[0] == 0 ? 0 : count / shape[0]), shape: shape,
      layout: layout)
    try file.close()
    return path
  }

  private func compare(_ path: String, rows: Int, size: Int) throws -> StoredRows {
    let stored = try #require(try self.stored(path))
    #expect(stored.count == rows && stored.rowSize == size)
    let file = try HDF5File(reading: path)
    let dataset = try file.dataset("rows")
    let bytes = try dataset.storage().storedBytes
    #expect(stored.storedBytes == bytes)
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    var (mine, theirs) = ([UInt8](repeating: 1, count: size), [UInt8](repeating: 2, count: size))
    for row in (0..<rows).reversed() {
      try mine.withUnsafeMutableBytes {
        try stored.read(row, from: descriptor, into: $0, path: path, name: "rows")
      }
      try theirs.withUnsafeMutableBufferPointer { try dataset.readRows(row..<row + 1, into: $0) }
      #expect(mine == theirs, "row \(row)")
    }
    return stored
  }

  @Test(arguments: [1, 7, 300], [[5, 7, 3], [64, 3], [1], [33, 1]])
  func rowsOfEveryKindAreThoseOfTheLibrary(rows: Int, row: [Int]) throws {
    let (shape, size) = ([rows] + row, row.reduce(1, *))
    let chunk = [1] + row
    for (name, layout) in [
      ("whole", .contiguous), ("plain", HDF5Layout(chunk: chunk, fletcher32: false)),
      ("checked", HDF5Layout(chunk: chunk)), ("gzip", HDF5Layout(chunk: chunk, deflate: 5)),
      ("unchecked", HDF5Layout(chunk: chunk, deflate: 1, fletcher32: false)),
      ("growing", HDF5Layout(chunk: chunk, isExtendible: true)),
    ] as [(String, HDF5Layout)] {
      let path = try write("\(name).h5", shape: shape, layout: layout)
      let stored = try compare(path, rows: rows, size: size)
      #expect(stored.isCompressed == (layout.deflate != nil))
      #expect(stored.hasChecksum == layout.fletcher32)
    }
  }

  private func stored(
    _ path: String, _ name: String = "rows", known: CheckedFile? = nil
  ) throws -> StoredRows? {
    let file = try HDF5File(reading: path, known: known)
    return file.storedRows(of: name)
  }

  private func checked(_ path: String) throws -> CheckedFile? {
    let file = try HDF5File(reading: path)
    return file.checked
  }

  @Test func whatIsStoredOtherwiseIsLeftToTheLibrary() throws {
    for (name, layout) in [
      ("several", HDF5Layout(chunk: [2, 5, 3])), ("parts", HDF5Layout(chunk: [1, 5, 1])),
      ("shuffled", HDF5Layout(chunk: [1, 5, 3], deflate: 1, shuffle: true)),
    ] {
      let path = try write("\(name).h5", shape: [9, 5, 3], layout: layout)
      #expect(try stored(path)?.count == nil, "\(name)")
    }
    // Chunks that were never written.
    let path = folder("holes.h5")
    let file = try HDF5File.create(path)
    do {
      let dataset = try file.createDataset(
        "rows", of: UInt8.self, shape: [4, 5], layout: HDF5Layout(chunk: [1, 5]))
      try ([1, 2, 3, 4, 5] as [UInt8]).withUnsafeBufferPointer {
        try dataset.writeRows(2..<3, from: $0)
      }
    }
    try file.write("numbers", [Int32](0..<9), shape: [3, 3])
    try file.close()
    for name in ["rows", "numbers", "none"] { #expect(try stored(path, name)?.count == nil) }
  }

  @Test func aFileThatIsKnownIsNotWalkedThroughAgain() throws {
    let path = try write("a.h5", shape: [4, 6], layout: HDF5Layout(chunk: [1, 6]))
    let known = try #require(try checked(path))
    #expect(try stored(path)?.count == 4)
    #expect(try stored(path, known: known)?.count == nil)
    _ = try write("a.h5", shape: [5, 6], layout: HDF5Layout(chunk: [1, 6]))
    #expect(try stored(path, known: known)?.count == 5)
  }

  @Test(arguments: [nil, 4])
  func aDamagedRowIsNamed(deflate: Int?) throws {
    let path = try write(
      "a.h5", shape: [4, 40], layout: HDF5Layout(chunk: [1, 40], deflate: deflate))
    let stored = try #require(try self.stored(path))
    let (offset, size) = stored.places.place(of: 2)
    var bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    bytes[offset + size / 2] ^= 0x10
    try Data(bytes).write(to: URL(filePath: path))
    func problem(_ row: Int, _ path: String) -> HDF5Error? {
      let descriptor = open(path, O_RDONLY)
      defer { close(descriptor) }
      var buffer = [UInt8](repeating: 0, count: 40)
      do {
        try buffer.withUnsafeMutableBytes {
          try stored.read(row, from: descriptor, into: $0, path: path, name: "rows")
        }
        return nil
      } catch { return error as? HDF5Error }
    }
    #expect(problem(1, path) == nil)
    let error = try #require(problem(2, path))
    #expect(error.isDamage && !error.isInputOutput)
    #expect("\(error)".hasPrefix("\(path), rows: cannot read row 2: "))
    // Cut off behind the row.
    try Data(bytes[..<(offset + 5)]).write(to: URL(filePath: path))
    #expect(problem(2, path)?.reason == "the file ends before it")
    // Not a file to read from.
    #expect(problem(2, folder.path)?.isInputOutput == true)
  }

  /// Sums whose halves are 0 and 65535, which are the same modulo 65535.
  @Test func checksumsOfSingleValues() {
    func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes(Fletcher32.checksum) }
    #expect(checksum([]) == 0 && checksum([0, 0, 0, 0, 0]) == 0)
    #expect(checksum([255, 255]) == 0xFFFF_FFFF)
    #expect(checksum([1, 2]) == 0x0102_0102)
    #expect(checksum([1]) == 0x0100_0100)
    #expect(checksum([1, 2, 3]) == 0x0504_0402)
    // As an old version of the library wrote it.
    #expect(Fletcher32.matches(0x0201_0201, checksum([1, 2])))
    #expect(!Fletcher32.matches(0x0201_0102, checksum([1, 2])))
  }
}
