import Foundation
import TestSupport
import Testing

@testable import HierarchicalData

/// Damage that version 1.10 of the library reads or writes past its buffers on.
@Suite struct StructureCheckTests {
  let folder: TemporaryFolder
  private let whole: [UInt8]

  init() throws {
    folder = TemporaryFolder()
    let path = folder("whole.h5")
    do {
      let file = try HDF5File.create(path)
      try file.setAttribute("format", .string("some text"))
      try file.setAttribute("version", .integer(1))
      try file.write(
        "chunked", [Float](repeating: 0.5, count: 60), shape: [20, 3],
        layout: HDF5Layout(chunk: [2, 3]))
      try file.write("whole", [Int32](0..<5))
      try file.write("names", ["a", "bb"])
      try file.write("more names", ["c"], layout: HDF5Layout(chunk: [1]))
      try file.close()
    }
    whole = [UInt8](try Data(contentsOf: URL(filePath: path)))
  }

  /// What is said of the file with these bytes at `place`.
  private func refusal(_ place: Int, _ bytes: [UInt8]) throws -> String {
    var changed = whole
    changed.replaceSubrange(place..<place + bytes.count, with: bytes)
    let path = folder("changed.h5")
    try Data(changed).write(to: URL(filePath: path))
    let error = try #require(throws: HDF5Error.self) { _ = try HDF5File(reading: path) }
    #expect(error.description.hasPrefix("\(path): cannot open: ") && !error.isInputOutput)
    return error.reason
  }

  private func place(of bytes: [UInt8], after start: Int = 0) throws -> Int {
    try #require(whole[start...].firstRange(of: bytes)?.lowerBound, "the test follows the format")
  }

  private func number(_ place: Int, _ width: Int = 8) -> Int {
    whole[place..<place + width].reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  private func words(_ value: Int) -> [UInt8] {
    (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  @Test func theUnchangedFileIsRead() throws {
    let file = try HDF5File(reading: folder("whole.h5"))
    #expect(try file.names() == ["chunked", "more names", "names", "whole"])
    #expect(try file.attribute("format") == .string("some text"))
  }

  /// Found by fuzzing: the library copies the name from behind the end of the message.
  @Test(arguments: [-6, -4, -2]) func anAttributeWithPartsLargerThanItIsRefused(field: Int) throws {
    let name = try place(of: Array("version\0".utf8))
    #expect(number(name - 6, 2) == 8)
    for size: [UInt8] in [[0xFF, 0x7F], [0xF8, 0xFF]] {
      #expect(try refusal(name + field, size).contains("in its message of type 12, it ends too"))
    }
  }

  @Test func anAttributeThatDeclaresMoreValuesThanItHasIsRefused() throws {
    let name = try place(of: Array("version\0".utf8))
    // Its type: a whole number of 8 bytes.
    let size = try place(of: [0x10, 8, 0, 0, 8, 0, 0, 0], after: name) + 4
    let reason = try refusal(size, [9])
    #expect(reason.contains("an attribute declares 9 bytes where 8 are left"), "\(reason)")
  }

  /// Files are examined some time before the library opens them.
  @Test func aDamagedFileThatTakesTheNameOfAnExaminedOneIsRefused() throws {
    let path = folder("whole.h5")
    let examined = try ExaminedFile(path)
    #expect(try HDF5File(opening: examined).names().count == 4)
    var changed = whole
    changed[try place(of: Array("version\0".utf8)) + 3] = 0
    try Data(changed).write(to: URL(filePath: folder("other.h5")))
    try #require(rename(folder("other.h5"), path) == 0)
    let error = try #require(throws: HDF5Error.self) { _ = try HDF5File(opening: examined) }
    #expect(error.reason.contains("an attribute's name of 4 bytes declares 8"), "\(error)")
  }

  /// Found by fuzzing: the library gives up there, and fails on what it has of the attributes so far.
  @Test func anAttributesNameThatEndsBeforeItsLengthIsRefused() throws {
    let name = try place(of: Array("version\0".utf8))
    let reason = try refusal(name + 3, [0])
    #expect(reason.contains("an attribute's name of 4 bytes declares 8"), "\(reason)")
  }

  @Test func aTextThatLeadsNowhereIsRefused() throws {
    let heap = try place(of: Array("GCOL".utf8))
    let name = try place(of: Array("format\0".utf8))
    let reference = try place(of: words(heap), after: name)
    #expect(number(reference - 4, 4) == 9)
    // Found by fuzzing: the library looks for empty texts as well.
    #expect(try refusal(reference - 4, [0, 0, 0, 0] + words(heap + 8)) == "there is no GCOL")
    #expect(try refusal(reference + 8, [99]) == "a text refers to what is not there")
    #expect(try refusal(reference - 4, [200]) == "a text refers to what is not there")
    #expect(try refusal(reference, words(heap + 8)) == "there is no GCOL")
    #expect(try refusal(reference, words(1 << 40)).contains("lies outside the file"))
  }

  /// Found by fuzzing: heaps elsewhere than at multiples of 8, where nobody would search for them. In
  /// this one the library looks for the end for ever.
  @Test func aHeapOfStringsAtAnOddPlaceIsCheckedToo() throws {
    let heap = try place(of: Array("GCOL".utf8))
    var moved = Array(whole[heap..<heap + number(heap + 8)])
    // Behind the first text comes free space without a size.
    let free = 16 + 16 + (number(heap + 24) + 7) / 8 * 8
    moved.replaceSubrange(free..<free + 16, with: [UInt8](repeating: 0, count: 16))
    let name = try place(of: Array("format\0".utf8))
    let reference = try place(of: words(heap), after: name)
    var changed = whole + [0, 0, 0] + moved
    changed.replaceSubrange(reference..<reference + 8, with: words(whole.count + 3))
    let path = folder("odd.h5")
    try Data(changed).write(to: URL(filePath: path))
    let error = try #require(throws: HDF5Error.self) { _ = try HDF5File(reading: path) }
    #expect(error.reason.contains("its free space is 0 bytes"), "\(error)")
  }

  /// The library would take the rest of the chunk from whatever lies behind its buffer.
  @Test func aChunkThatIsShorterThanItsElementsIsRefused() throws {
    let tree = try place(of: Array("TREE".utf8) + [1])
    #expect(number(tree + 24, 4) == 2 * 3 * 4 + 4, "two rows and a checksum")
    for size: UInt8 in [0, 1, 27, 29] {
      #expect(try refusal(tree + 24, [size]).hasSuffix("has a chunk of \(size) bytes"))
    }
    // Without the checksum, where the file says that it was left out.
    #expect(try refusal(tree + 28, [1]).hasSuffix("has a chunk of 28 bytes"))
    #expect(try refusal(tree + 32, [1]).hasSuffix("has a chunk between others"))
    #expect(try refusal(tree + 6, [255]).hasSuffix("is damaged"))
  }

  @Test func aTypeWhoseFieldsDoNotFitIsRefused() throws {
    let float: [UInt8] = [0x11, 0x20, 0x1F, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23]
    let type = try place(of: float)
    for (field, value) in [(2, 200), (8, 1), (10, 33), (12, 250), (13, 255), (14, 20), (15, 24)] {
      let reason = try refusal(type + field, [UInt8(value)])
      #expect(reason.hasSuffix("a floating-point type's fields do not fit into it"), "\(field)")
    }
    let integer = try place(of: [0x10, 8, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0])
    #expect(try refusal(integer + 10, [33]).hasSuffix("a type has 33 bits in 4 bytes"))
    #expect(try refusal(integer, [0x1B]).hasSuffix("a type is of class 11"))
  }

  @Test func namesOutsideTheirHeapAndListsWithoutEndAreRefused() throws {
    let heap = try place(of: Array("HEAP".utf8))
    let (size, free) = (number(heap + 8), number(heap + 16))
    let data = number(heap + 24)
    let reason = "has free space outside of it"
    #expect(try refusal(heap + 16, words(size - 8)).hasSuffix(reason))
    if free != 1 {
      #expect(try refusal(data + free, words(free)).hasSuffix(reason), "a list that bites its tail")
      #expect(try refusal(data + free + 8, words(size)).hasSuffix(reason))
    }
    let list = try place(of: Array("SNOD".utf8))
    #expect(try refusal(list + 8, words(size)) == "a name lies outside its heap")
    #expect(try refusal(list + 6, [255]).hasSuffix("is damaged"))
    #expect(try refusal(list + 16, words(1 << 50)).contains("an object at byte"))
  }

  @Test func typesWithinTypesAreFollowedOnlySoFar() throws {
    // Arrays of one array of one array of … one byte.
    func nested(_ depth: Int) -> [UInt8] {
      (0..<depth).flatMap { _ in [0x3A, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0] as [UInt8] }
        + [0x30, 0, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0]
    }
    var good = FieldReader(nested(7), origin: 0)
    #expect(try ElementType(&good).bytes == 1)
    for depth in [8, 100_000] {
      var deep = FieldReader(nested(depth), origin: 0)
      let error = #expect(throws: StructureDamage.self) { try ElementType(&deep) }
      #expect(error?.reason.contains("8 others around it") == true)
    }
  }

  @Test func otherWidthsOfAddressesAreRefused() throws {
    #expect(
      try refusal(13, [4])
        == "it is an HDF5 file, but its addresses and lengths have 4 and 8 bytes, not 8")
  }

  @Test func aFileBehindAUserBlockIsReadTheSame() throws {
    let path = folder("behind.h5")
    try Data([UInt8](repeating: 7, count: 1024) + whole).write(to: URL(filePath: path))
    let file = try HDF5File(reading: path)
    #expect(try file.attribute("format") == .string("some text"))
    #expect(try file.dataset("whole").readAll(as: Int32.self) == [0, 1, 2, 3, 4])
    #expect(try file.dataset("names").readStrings() == ["a", "bb"])
    #expect(try file.dataset("more names").readStrings() == ["c"])
  }

  /// The walk itself ends, and in an error of its own, whatever a byte is.
  @Test func noByteMakesTheWalkFail() throws {
    let path = folder("changed.h5")
    try Data(whole).write(to: URL(filePath: path))
    let descriptor = open(path, O_RDWR)
    defer { close(descriptor) }
    func set(_ place: Int, _ byte: UInt8) {
      withUnsafeBytes(of: byte) { _ = pwrite(descriptor, $0.baseAddress, 1, off_t(place)) }
    }
    var refused = 0
    for place in whole.indices {
      // Much of it is room that nothing is in yet.
      for value in whole[place] == 0 ? [255] : [0, 255, whole[place] ^ 1] {
        set(place, value)
        do { _ = try StructureCheck(of: path) } catch {
          refused += 1
          if error.reason.isEmpty || error.isInputOutput { Issue.record("\(place): \(error)") }
        }
      }
      set(place, whole[place])
    }
    #expect(refused > 1000)
  }
}
