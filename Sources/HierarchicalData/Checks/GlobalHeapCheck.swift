import Foundation

/// Looks through the heaps that hold a file's variable-length strings before the library does.
///
/// They carry no checksum, and version 1.10 of the library believes the sizes in them: it copies
/// past the end of its buffers when they are wrong. Attributes lie at the beginning of a file and
/// what was written last at its end, so both ends are searched for heaps. Those that attributes, or texts
/// without filters, refer to are looked at wherever they lie (`StructureCheck`, `ReferencedStrings`).
///
/// Source: HDF5 File Format Specification, section III.E "Disk Format: Level 1E - Global Heap".
struct GlobalHeapCheck {
  /// What is wrong with a heap near either end of the file, or `nil`.
  private(set) var problem: String?
  /// Bytes that are searched at either end: of thousands of shards they are all read when a job begins.
  private static let window = 1 << 17

  init(of path: String) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return }
    let size = Int(status.st_size)
    let head = Self.read(descriptor, from: 0, count: min(Self.window, size))
    problem = Self.problem(in: head, at: 0, fileSize: size)
    // Heaps begin at multiples of 8.
    let start = max(head.count, size - Self.window) / 8 * 8
    guard problem == nil, start < size else { return }
    let tail = Self.read(descriptor, from: start, count: size - start)
    problem = Self.problem(in: tail, at: start, fileSize: size)
  }

  private static func read(_ descriptor: Int32, from offset: Int, count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      while initialized < count {
        let got = pread(
          descriptor, buffer.baseAddress! + initialized, count - initialized,
          off_t(offset + initialized))
        if got <= 0 { break }
        initialized += got
      }
    }
  }

  private static func problem(in bytes: [UInt8], at start: Int, fileSize: Int) -> String? {
    bytes.withUnsafeBytes { bytes in
      let signature: [UInt8] = [0x47, 0x43, 0x4F, 0x4C, 1, 0, 0, 0]  // "GCOL", version 1
      let word = signature.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
      for place in stride(from: 0, to: bytes.count - 15, by: 8)
      where bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self) == word {
        if let problem = problem(ofHeapAt: place, in: bytes, room: fileSize - start - place) {
          return "the heap of strings at byte \(start + place) is damaged: \(problem)"
        }
      }
      return nil
    }
  }

  /// What is wrong with one heap, or `nil`.
  ///
  /// - Parameter room: bytes from the heap's beginning to the end of the file.
  static func problem(
    ofHeapAt place: Int, in bytes: UnsafeRawBufferPointer, room: Int
  ) -> String? {
    func number(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place + offset, as: UInt64.self))
    }
    let size = number(8)
    guard size >= 16, size <= UInt64(room) else { return "its size is \(size)" }
    let end = Int(size)
    var offset = 16
    while offset + 16 <= end, place + offset + 16 <= bytes.count {
      let index = UInt16(truncatingIfNeeded: number(offset))
      let objectSize = number(offset + 8)
      let left = UInt64(end - offset)
      if index == 0 {
        // Free space, its own header included. The library goes on behind it: for ever, if it has no
        // size.
        guard (16...left).contains(objectSize) else {
          return "its free space is \(objectSize) bytes of \(left)"
        }
        offset += Int(objectSize)
        continue
      }
      guard objectSize <= left - 16 else {
        return "object \(index) has \(objectSize) bytes where \(left - 16) are left"
      }
      offset += 16 + (Int(objectSize) + 7) / 8 * 8
    }
    return nil
  }
}
