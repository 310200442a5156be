import { a } from 'unknownLib';
